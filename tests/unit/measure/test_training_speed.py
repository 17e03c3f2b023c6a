"""The updates that a benchmark compares are the same mathematics, and it measures them."""

import multiprocessing
import time

import pytest
import torch
from torch.autograd import DeviceType

from pipeline.dataset.packed import PackedDataset
from pipeline.measure.graphed_updates import GraphedUpdates
from pipeline.measure.plain_updates import PlainUpdates
from pipeline.measure.training_speed import Measurement, kernel_seconds, measure_updates
from pipeline.method.training.train import build_trainer

SEQUENCE = ("update_critic", "update_critic", "update_generator", "update_critic")


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_plain_updates_agree_with_the_pipeline(make_packed, make_settings, method, shape):
    settings = make_settings(method=method, accumulated_batches=2, base_filters=2)
    data = PackedDataset.open(make_packed(shape))
    place = torch.device("cpu")
    ours = build_trainer(data, shape, settings, place)
    plain = PlainUpdates(build_trainer(data, shape, settings, place))
    for update in SEQUENCE:
        terms = list(getattr(ours, update)().values())
        torch.testing.assert_close(
            torch.tensor(getattr(plain, update)()), torch.tensor(terms), rtol=2e-3, atol=2e-4
        )


def test_updates_from_fixed_places_are_those_of_the_pipeline(make_packed, make_settings):
    """What a graph would do again, as it is; the first batches are there for its recording."""
    settings = make_settings(accumulated_batches=2, base_filters=2, critic_base_filters=2)
    data = PackedDataset.open(make_packed((32, 32)))
    ours, other = (build_trainer(data, (32, 32), settings, torch.device("cpu")) for _ in range(2))
    graphed = GraphedUpdates(other)
    for _ in range(2):
        ours.x1.draw()
        ours.draw_alpha(ours.x0.draw())
    for update in SEQUENCE:
        assert getattr(graphed, update)() == list(getattr(ours, update)().values())


@pytest.mark.parametrize(("updates", "images"), [("plain", "host"), ("graphs", "device")])
def test_updates_are_measured(make_settings, tmp_path, updates, images):
    settings = make_settings(base_filters=2, critic_base_filters=2)
    what = Measurement("tiny", settings, (32, 32), updates, images=images)
    measured = measure_updates(what, "cpu", 2, multiprocessing.Barrier(1), tmp_path)
    assert measured["critic_s"] > 0 < measured["generator_s"]
    assert measured["images_per_s"] == 2 / measured["critic_s"]
    assert 0 < measured["waiting"] < 1
    assert measured["critic_on_gpu"] is None


def test_profiler_tells_how_long_a_device_computed():
    image = torch.ones(1, 4, 64, 64)
    layer = torch.nn.Conv2d(4, 4, 3)

    def work():
        time.sleep(0.2)
        layer(image)

    assert 0 < kernel_seconds(work, DeviceType.CPU) < 0.1
    assert kernel_seconds(work, DeviceType.CUDA) == 0
