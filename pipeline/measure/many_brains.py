"""Whether more training volumes would help on brains, where the demonstration has few.

Heads are simulated as for the demonstration, but straight on the grid that the networks see: in one
pose, from the average head alone, and cut by their true brain mask. What scanner, registration and
skull stripping add is left out, so hundreds take minutes, and a method has it easier than in the
demonstration.

``python -m pipeline.measure.many_brains FOLDER METHOD ... --volumes 400`` prints what docs/demo.md
tells.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml
from scipy.ndimage import gaussian_filter, map_coordinates

from pipeline.brain.grid import FWHM_PER_SIGMA, resample_to_grid
from pipeline.brain.volume import load_volume, save_volume
from pipeline.dataset.packed import write_made_images
from pipeline.demo.anatomy import GRID_ORIGIN, GRID_SHAPE, GRID_SPACING, Anatomy, load_anatomies
from pipeline.demo.brain_disease import make_subject
from pipeline.geometry.diffeomorphism import integrate, sample_field
from pipeline.geometry.registration import BACKGROUND
from pipeline.method.fit import fit_model
from pipeline.score.model import score_model
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.progress import progress
from pipeline.study.config import Config, parse_config
from pipeline.study.config.datasets import AdniDataset
from pipeline.study.config.preparation import Brain
from pipeline.study.config.simulations import AdniDemo

PAIRS = {"validation": 20, "test": 30}  # each of a subject of its own
# Planes below the part of the field's grid that has the brain in its middle.
NECK = round(-2 * GRID_ORIGIN[2] / GRID_SPACING) - GRID_SHAPE[2] + 1
FOLLOW_UP_YEARS = (1.0, 3.0)
DATASET = "adni"
SIMULATED = "simulated.json"  # what the packed data set was made from
DRAWN_FROM = {"seed", "severity", "ageing", "variation", "noise"}


class Brains:
    """Brains of simulated subjects, as the networks see them.

    Parameters
    ----------
    anatomy : Anatomy
        The head that all are made from.
    demo : AdniDemo
        The demonstration, whose disease and noise they have.
    grid : Brain
        Of the networks.
    """

    def __init__(self, anatomy: Anatomy, demo: AdniDemo, grid: Brain) -> None:
        self.anatomy, self.demo, self.grid = anatomy, demo, grid
        self.scale, shift = np.diag(anatomy.affine)[:3], anatomy.affine[:3, 3]
        self.shift = (np.array(GRID_ORIGIN) - shift) / self.scale
        # Before every third voxel is taken, or so, thin structures are smoothed away.
        self.head = gaussian_filter(anatomy.image, GRID_SPACING / FWHM_PER_SIGMA / self.scale)
        self.affine = np.diag([GRID_SPACING] * 3 + [1.0])

    def visits(self, subject: int, visits: list[tuple[bool, float]]) -> list[np.ndarray]:
        """Volumes (x, y, z) in [-1, 1] of visits, with the disease or not, after so many years."""
        demo = self.demo
        rng = np.random.default_rng([demo.seed, subject])
        person = make_subject(self.anatomy, rng=rng, variation_mm=demo.variation)
        mildest, severest = demo.severity
        severity = rng.uniform(mildest, severest)
        volumes = []
        for diseased, years in visits:
            source = np.indices(GRID_SHAPE, dtype=np.float32)[..., NECK:]
            if diseased:
                source = _moved(source, integrate(-severity * person.disease))
            if years:
                source = _moved(source, integrate(-years * demo.ageing * person.ageing))
            source = _moved(source, person.shape)
            voxels = [source[i] * GRID_SPACING / self.scale[i] + self.shift[i] for i in range(3)]
            head = map_coordinates(self.head, voxels, np.float32, order=1) ** person.contrast
            head += rng.normal(0, demo.noise, head.shape)
            inside = sample_field(self.anatomy.regions["brain"][None], source)[0] > 0.5
            volumes.append(self._prepared(head * inside))
        return volumes

    def _prepared(self, brain: np.ndarray) -> np.ndarray:
        grid = self.grid
        with TemporaryDirectory(prefix="brains-") as name:
            scan, prepared = Path(name, "scan.nii"), Path(name, "prepared.nii")
            save_volume(brain, self.affine, scan)
            resample_to_grid(scan, prepared, voxel_mm=grid.voxel_mm, shape=grid.shape)
            return np.array(load_volume(prepared)[0])

    def pack(self, destination: Path, volumes: int) -> None:
        """Pack a data set with so many training volumes, half of them of each class."""
        labels = [number % 2 for number in range(volumes)]
        splits = list(chain.from_iterable([split] * count for split, count in PAIRS.items()))
        # Subjects of pairs come first: they are the same however many volumes are for training.
        pairs = [self._pair(subject) for subject in range(len(splits))]
        training = self._training(labels, len(splits))
        write_made_images(destination, training, labels, pairs, splits)

    def _training(self, labels: list[int], first: int) -> Iterator[np.ndarray]:
        with progress(total=len(labels), desc="brains", unit="volume") as line:
            for subject, label in enumerate(labels, start=first):
                yield self.visits(subject, [(bool(label), 0.0)])[0]
                line.update()

    def _pair(self, subject: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        years = np.random.default_rng(subject).uniform(*FOLLOW_UP_YEARS)
        healthy, diseased = self.visits(subject, [(False, 0.0), (True, years)])
        both = np.minimum(healthy, diseased) > BACKGROUND
        return diseased, np.where(both, healthy - diseased, 0), both


def _moved(points: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    return points + sample_field(displacement, points)


def measure(
    folder: Path, config: Config, methods: list[str], volumes: int, epochs: int, seed: int
) -> None:
    """Train on so many volumes, and print the scores of the validation and of the test pairs."""
    dataset, packed = config.datasets.get(DATASET), folder / "packed"
    if not isinstance(dataset, AdniDataset) or dataset.demo is None:
        raise InputError(f"{DATASET} is no demonstration here; give the configuration of one")
    if unknown := set(methods) - dataset.training.methods.keys():
        raise InputError(f"the configuration has no settings of {', '.join(sorted(unknown))}")
    if volumes < 2 or epochs < 1:
        raise InputError("there must be a volume of each class, and an epoch")
    simulated = {
        "volumes": volumes,
        "grid": dataset.brain.model_dump(mode="json", include={"voxel_mm", "shape"}),
        "demo": dataset.demo.model_dump(mode="json", include=DRAWN_FROM),
    }
    if not packed.is_dir():
        write_json(simulated, folder / SIMULATED)
        Brains(load_anatomies()[0], dataset.demo, dataset.brain).pack(packed, volumes)
    elif not (made := folder / SIMULATED).is_file() or read_json(made) != simulated:
        raise InputError(
            f"{packed} holds brains of other settings, or does not tell; name another folder"
        )
    for method in methods:
        settings = config.training_settings(DATASET, method, seed)
        settings |= {"epochs": epochs} if "epochs" in settings else {}
        fitted, scores = folder / method, folder / f"{method}.parquet"
        fit_model(packed, fitted, settings, device=config.device, threads=1)
        generator = fitted / "generator.safetensors"
        score_model(packed, generator, scores, dataset=DATASET, method=method, seed=seed)
        each = pd.read_parquet(scores)[["ncc", "ncc_other"]]
        best, (own, other) = read_json(fitted / "training.json"), each.mean()
        print(
            f"{volumes} training volumes, {method}: validation {best['validation_ncc']:.3f} "
            f"(epoch {best['best_epoch']}), test {own:.3f}, specificity {own - other:+.3f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the data set and the models")
    parser.add_argument("methods", nargs="+", metavar="method", help="of the configuration")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--volumes", type=int, default=400, help="training volumes")
    parser.add_argument("--epochs", type=int, default=20, help="of a method that has epochs")
    parser.add_argument("--seed", type=int, default=99, help="one that the tables do not use")
    args = parser.parse_args()
    try:
        given = parse_config(yaml.safe_load(args.config.read_text(encoding="utf-8")))
        measure(args.folder, given, args.methods, args.volumes, args.epochs, args.seed)
    except (InputError, OSError) as error:
        sys.exit(str(error))
