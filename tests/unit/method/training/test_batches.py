"""Drawing of batches."""

import numpy as np
import pytest
import torch

from pipeline.method.training.batches import ClassBatches

CPU = torch.device("cpu")


def batches(images, rows, batch_size, shape, seed=0):
    rng = np.random.default_rng(seed)
    return ClassBatches(images, np.array(rows), batch_size, shape, rng, CPU)


def test_every_image_of_the_class_is_drawn_once_a_pass():
    images = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    source = batches(images, [1, 3, 5, 7, 9], 2, (4, 4))
    drawn = [source.draw() for _ in range(10)]
    assert drawn[0].shape == (2, 1, 4, 4)
    values = torch.cat(drawn)[:, 0, 0, 0].tolist()
    assert all(sorted(values[at : at + 5]) == [1, 3, 5, 7, 9] for at in range(0, 20, 5))
    assert values[:5] != values[5:10]


def test_batches_are_full_where_images_are_few():
    images = np.zeros((3, 4, 4), dtype=np.float32)
    assert batches(images, [0, 2], 5, (4, 4)).draw().shape == (5, 1, 4, 4)


def test_larger_films_are_cropped_at_random():
    film = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    drawn = batches(film, [0], 200, (4, 4)).draw()[:, 0]
    corners = drawn[:, 0, 0].long()
    assert set(corners.tolist()) == {6 * row + column for row in range(3) for column in range(3)}
    offsets = drawn - corners.view(-1, 1, 1)
    assert (offsets == torch.from_numpy(film[0, :4, :4])).all()


@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_seed_decides(as_tensor):
    images = np.random.default_rng(0).random((5, 6, 6), dtype=np.float32)
    source = torch.from_numpy(images) if as_tensor else images
    first, again, other = (batches(source, range(5), 4, (4, 4), seed).draw() for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
