"""Regions of the atlas, on grids whose place in the template is known."""

import numpy as np
import pytest

from pipeline.brain.atlas import GROUPS, region_shares

# 4 mm voxels around the anterior commissure of the template, as the demonstration's grid.
SHAPE = (40, 50, 44)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = [-78.0, -116.0, -72.0]


@pytest.fixture(scope="module")
def shares():
    return region_shares(AFFINE, SHAPE)


def centre(share):
    return (
        AFFINE[:3, :3] @ np.average(np.indices(SHAPE).reshape(3, -1), axis=1, weights=share.ravel())
        + AFFINE[:3, 3]
    )


def test_volumes_and_places(shares):
    assert list(shares)[: len(GROUPS)] == list(GROUPS)
    assert len(shares) == len(GROUPS) + 2 * 51
    millilitres = {name: share.sum() * 4**3 / 1000 for name, share in shares.items()}
    # The template is an average of healthy adults, a little larger than life.
    assert 3 < millilitres["left Hippocampus"] < 8
    assert 100 < millilitres["cerebellum"] < 200
    assert 15 < millilitres["brainstem"] < 45
    # RAS mm: the hippocampi lie 25 mm beside the midline, the precuneus behind and above.
    assert centre(shares["right Hippocampus"])[0] == pytest.approx(26, abs=4)
    assert centre(shares["left Hippocampus"])[0] == pytest.approx(-26, abs=4)
    assert centre(shares["precuneus"])[1] < -40
    assert centre(shares["cerebellum"])[2] < -20


def test_no_voxel_belongs_to_more_than_itself(shares):
    total = sum(share for name, share in shares.items() if name not in GROUPS)
    assert total.max() <= 1.0001
