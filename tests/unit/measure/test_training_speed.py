"""The plain updates of the benchmark are the same mathematics as the pipeline's."""

import pytest
import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.measure.training_speed import COLUMNS, PlainUpdates, benchmark_training
from pipeline.method.training.train import build_trainer


@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)])
def test_plain_updates_agree_with_the_pipeline(make_packed, make_settings, method, shape):
    settings = make_settings(method=method, accumulated_batches=2, base_filters=2)
    data = PackedDataset.open(make_packed(shape))
    place = torch.device("cpu")
    ours = build_trainer(data, shape, settings, place)
    plain = PlainUpdates(build_trainer(data, shape, settings, place))
    for update in ("update_critic", "update_critic", "update_generator", "update_critic"):
        terms = list(getattr(ours, update)().values())
        torch.testing.assert_close(
            torch.tensor(getattr(plain, update)()), torch.tensor(terms), rtol=2e-3, atol=2e-4
        )


@pytest.mark.slow
def test_benchmark_measures_both(make_settings):
    table = benchmark_training(make_settings(), (32, 32), repeats=2, device="cpu")
    assert table.columns.tolist() == COLUMNS
    assert table["updates"].tolist() == ["plain", "pipeline"]
    assert (table[["critic_s", "generator_s", "images_per_s"]] > 0).all(axis=None)
    assert table["waiting"].between(0, 1).all()
