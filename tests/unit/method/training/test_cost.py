"""Operations counted without running them."""

import pytest
import torch
from torch import nn

from pipeline.dataset.packed import PackedDataset
from pipeline.method.training.cost import (
    explanation_operations,
    training_operations,
    update_operations,
)
from pipeline.method.training.operations import count_operations
from pipeline.method.training.train import build_trainer


def test_a_convolution_takes_two_operations_a_weight_and_place():
    network, image = nn.Conv2d(3, 5, kernel_size=3, padding=1), torch.zeros(2, 3, 8, 16)
    assert count_operations(lambda: network(image)) == 2 * (2 * 8 * 16) * (3 * 5 * 9)


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_counted_updates_are_those_that_train(make_packed, make_settings, method, shape):
    settings = make_settings(method=method, accumulated_batches=2, base_filters=2)
    data = PackedDataset.open(make_packed(shape))
    trainer = build_trainer(data, shape, settings, torch.device("cpu"))
    each = update_operations(settings, shape)
    assert count_operations(trainer.update_critic) == each["critic"]
    assert count_operations(trainer.update_generator) == each["generator"]


def test_a_training_is_its_updates(make_settings):
    schedule = {"critic_updates": 2, "initial_critic_updates": 5, "initial_generator_updates": 1}
    settings = make_settings(epochs=3, updates_per_epoch=4, epoch_counts="updates", **schedule)
    each = update_operations(settings, (32, 32))
    # Five of the critic before the first of the generator, two before the others: 12 in all.
    assert training_operations(settings, (32, 32)) == 9 * each["critic"] + 3 * each["generator"]


def test_explanation_is_one_pass_of_one_image(make_settings):
    settings = make_settings(batch_size=4)
    alone = explanation_operations(settings, (32, 32))
    assert 0 < 4 * alone < update_operations(settings, (32, 32))["generator"]
