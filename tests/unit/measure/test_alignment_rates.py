import numpy as np
import pytest

from pipeline.brain.packaged_heads import TEMPLATE_HEAD
from pipeline.brain.template import Template, load_template, template_brain
from pipeline.brain.volume import save_volume
from pipeline.measure.alignment_rates import (
    Registered,
    error_mm,
    judge,
    later_faults,
    share,
)
from pipeline.measure.changed_heads import (
    Head,
    bad_masks,
    cut_neck,
    displaced,
    displacements,
    flipped,
    gamma,
    outside,
    packaged,
    scaled,
    turned,
)


@pytest.fixture(scope="session")
def average(tmp_path_factory: pytest.TempPathFactory) -> tuple[Head, Template]:
    """The packaged average at 4 mm, as a head and as the template."""
    head = packaged(TEMPLATE_HEAD, 4.0)
    path = tmp_path_factory.mktemp("average") / "template.nii"
    save_volume(head.data, head.affine, path)
    return head, load_template(path)


@pytest.fixture
def head() -> Head:
    """An ellipsoid of a brain in a larger one of scalp, on voxels of 4 mm; none is symmetric."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -100, -110, -90
    place = np.stack(np.meshgrid(*map(np.arange, (50, 55, 50)), indexing="ij"), -1)
    away = (place @ affine[:3, :3] + affine[:3, 3]) / [70, 85, 65]
    brain = np.linalg.norm(away, axis=-1) < 1
    tissue = np.linalg.norm(away, axis=-1) < 1.3
    data = np.where(tissue, 1 + 2 * brain + 0.01 * place[..., 0], 0)
    return Head(data, brain, affine, np.eye(4))


def marked(head: Head) -> np.ndarray:
    """Where the brightest voxel came from, mm in the packaged head."""
    index = np.unravel_index(head.data.argmax(), head.data.shape)
    return (head.origin @ head.affine @ [*index, 1])[:3]


@pytest.mark.parametrize(
    "change",
    [
        lambda head: turned(head, vector=[0, 30, 0]),
        lambda head: turned(head, vector=[10, -10, 20]),
        lambda head: scaled(head, factors=[0.5, 1, 2]),
        lambda head: flipped(head, axes=[0, 2]),
        cut_neck,
    ],
)
def test_a_change_tells_where_its_voxels_came_from(head, change):
    head.data[20, 30, 28] = 50
    assert marked(change(head)) == pytest.approx(marked(head), abs=4.1)


def test_a_turned_head_keeps_its_brain(head):
    other = turned(head, vector=[0, 0, 30])
    assert other.brain.sum() == pytest.approx(head.brain.sum(), rel=0.01)
    assert other.centre == pytest.approx(head.centre, abs=0.5)


def test_scalp_alone_changes_and_of_it_cheeks_and_neck_alone(head):
    whole, low = (outside(head, factor=4, neck_alone=alone) for alone in (False, True))
    assert (whole.data[head.brain] == head.data[head.brain]).all()
    assert whole.data.max() > low.data[:, :, 30:].max()
    assert low.data[:, :, :8].max() == pytest.approx(whole.data[:, :, :8].max())


def test_gamma_keeps_order_and_largest_value(head):
    other = gamma(head, exponent=2)
    assert other.data.max() == pytest.approx(head.data.max())
    assert (np.argsort(other.data[head.brain]) == np.argsort(head.data[head.brain])).all()


def test_cut_leaves_the_whole_brain(head):
    assert cut_neck(head).brain.sum() == head.brain.sum()
    assert cut_neck(head).data.shape[2] < head.data.shape[2]


def test_copies_are_displaced_as_far_as_they_are_called(head):
    turns, moves = displacements()["turned by 20 degrees"], displacements()["moved by 30 mm"]
    assert len(turns) == len(moves) == 10
    for there, vector_by, shift_by in ((turns, 20, 0), (moves, 0, 30)):
        for vector, shift in there:
            assert np.linalg.norm(vector) == pytest.approx(vector_by)
            assert np.linalg.norm(shift) == pytest.approx(shift_by)
    moved = displaced(head, *moves[0]) > 2.5
    middle = head.affine @ [*np.argwhere(moved).mean(axis=0), 1]
    assert middle[:3] == pytest.approx(np.add(head.centre, [30, 0, 0]), abs=1.5)


def test_bad_masks_are_halves_or_too_much(head):
    masks, brain = bad_masks(head), head.brain.sum()
    for half in ("left half", "front half", "upper half"):
        assert masks[half].sum() == pytest.approx(brain / 2, rel=0.1)
    assert brain < masks["brain and 10 mm around it"].sum() < masks["whole head"].sum()
    assert not masks["nothing"].any()


def test_error_is_that_of_the_farthest_corner():
    moved = np.eye(4)
    moved[:3, 3] = 3, 4, 0
    assert error_mm(moved, np.eye(4)) == pytest.approx(5)
    assert error_mm(np.diag([1.1, 1, 1, 1]), np.eye(4)) == pytest.approx(6)
    assert share([True, False, True]) == "2 of 3"


def test_faults_of_a_registered_head_are_noticed_but_not_its_exchanged_sides(average):
    head, template = average
    noticed = later_faults([head], template, template_brain(template))
    assert noticed.pop("flipped along x") == [False]
    # At voxels of 4 mm a margin of 10 is one of 8.
    assert noticed.pop("mask: brain and 10 mm around it") == [False]
    assert len(noticed) == 9 and all(all(hits) for hits in noticed.values())


def test_the_row_of_a_refused_head_says_why(average):
    heads = {TEMPLATE_HEAD: {"halved": Registered(None, {}, "refused: scale 0.50")}}
    row = judge(heads, TEMPLATE_HEAD, "halved", average[0].brain)
    assert row["judged"] == "refused: scale 0.50"
    assert row["off by mm"] == row["litres"] == ""
