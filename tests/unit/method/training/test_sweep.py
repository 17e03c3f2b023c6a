"""The choice of lambda sees the validation pairs alone."""

import json

import numpy as np
import pandas as pd

from pipeline.method.fit import fit_model
from pipeline.method.training.sweep import summarise_sweep


def sweep(packed, make_settings, folder):
    trainings = []
    for value in (0.5, 2):
        settings = make_settings(epochs=2, **{"lambda": value})
        fit_model(packed, folder / str(value), settings.to_dict(), device="cpu", threads=1)
        trainings.append(folder / str(value) / "training.json")
    summarise_sweep(
        ["toy", "toy"], trainings, {"toy": "Toy"}, folder / "sweep.csv", folder / "sweep.png"
    )
    return (folder / "sweep.csv").read_bytes()


def test_test_pairs_do_not_matter(make_packed, make_settings, tmp_path):
    """Whatever the test pairs hold, numbers or none: the sweep is the same to the last digit."""
    tables = []
    for name, values in (("zeros", 0.0), ("others", 0.7), ("none", np.nan)):
        packed = make_packed((32, 32), name=name)
        index = pd.read_parquet(packed / "pairs.parquet")
        more = index.iloc[:2].assign(split="test", subject="t", row=[3, 4])
        pd.concat([index, more]).to_parquet(packed / "pairs.parquet")
        for part in ("image", "difference", "mask"):
            array = np.load(packed / f"pairs_{part}.npy")
            test = np.full_like(array[:2], values if part != "mask" else True)
            np.save(packed / f"pairs_{part}.npy", np.concatenate([array, test]))
        tables.append(sweep(packed, make_settings, tmp_path / f"sweep-{name}"))
    assert tables[0] == tables[1] == tables[2]
    chosen = pd.read_csv(tmp_path / "sweep-none" / "sweep.csv")
    assert chosen["chosen"].sum() == 1
    assert chosen.loc[chosen["chosen"], "validation_ncc"].item() == chosen["validation_ncc"].max()


def test_best_lambda_of_each_method_is_chosen(tmp_path):
    paths = []
    for method, value, score in (
        *(("va-gan", 4, 0.2), ("va-gan", 1, 0.3), ("va-gan", 2, 0.3)),
        *(("defi-gan", 1, 0.5), ("defi-gan", 2, 0.4)),
    ):
        paths.append(tmp_path / f"{method}{value}.json")
        training = {"settings": {"method": method, "lambda": value}, "validation_ncc": score}
        paths[-1].write_text(json.dumps(training | {"best_epoch": 1}), encoding="utf-8")
    summarise_sweep(
        ["copd"] * 5, paths, {"copd": "COPD"}, tmp_path / "sweep.csv", tmp_path / "sweep.png"
    )
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["lambda"].tolist() == [1, 2, 1, 2, 4]
    assert table["chosen"].tolist() == [True, False, False, True, False]
    assert (tmp_path / "sweep.png").stat().st_size > 1000
