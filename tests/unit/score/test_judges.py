"""Judges that say what they are told to."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.score.judges import Judges, best_threshold, mean_auc, validity

ILL, WELL = np.array([3.0, 4.0, 5.0, 0.5]), np.array([2.0, 1.0, -1.0, 0.0])


@pytest.mark.parametrize("shift", [0, -7])
def test_the_threshold_tells_the_groups_apart_best(shift):
    # 0.5 lies among the healthy whatever the threshold; all others are told apart by 2 to 3.
    assert best_threshold(ILL + shift, WELL + shift) == 2.5 + shift


def test_of_thresholds_that_are_as_good_the_middle_one():
    ill, well = np.array([2.0, 4.0, 6.0]), np.array([1.0, 3.0, 5.0])
    assert best_threshold(ill, well) == 3.5  # 1.5 and 5.5 are as good; 2.5 and 4.5 are not


def test_a_judge_that_says_the_same_of_all_has_a_threshold():
    assert best_threshold(np.ones(3), np.ones(3)) == 1


def test_a_judge_that_is_broken_is_named_as_such():
    with pytest.raises(ValueError, match="not finite"):
        best_threshold(np.array([np.nan, 1.0]), np.array([0.0]))


class Mean(nn.Module):
    """Says the mean of an image, plus something."""

    def __init__(self, more: float) -> None:
        super().__init__()
        self.more = more

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3)) + self.more


def test_judges_that_are_off_are_set_right_each_for_itself():
    ill = [np.full((4, 4), value) for value in (0.5, 0.7)]
    well = [np.full((4, 4), value) for value in (0.1, 0.3)]
    judges = Judges([Mean(0), Mean(9)], torch.device("cpu"))
    assert judges.diseased(well[0]) == pytest.approx([0.1, 9.1])
    judges.set_thresholds(ill, well)
    for image in ill:
        assert (judges.diseased(image) > 0).all()
    for image in well:
        assert (judges.diseased(image) < 0).all()
    assert judges.diseased(ill[0]) == pytest.approx([0.1, 0.1])


def test_validity_counts_those_who_called_it_diseased():
    assert validity(np.array([1.0, 2.0, -1.0]), np.array([-1.0, 3.0, -2.0])) == 0.5
    assert np.isnan(validity(np.array([-1.0]), np.array([-1.0])))


def test_auc_is_the_mean_over_the_judges():
    ill, well = [np.array([1.0, 0.0])], [np.array([0.0, 1.0])]
    assert mean_auc(ill, well) == 0.5
