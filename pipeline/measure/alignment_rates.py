"""How often the limits of scale, likeness, litres and orientation err, on heads with a known truth.

The packaged heads are changed (`pipeline.measure.changed_heads`), registered anew to the template
at 2 mm by the embedded engine, stripped, and judged as the stages and the quality control do.

``python -m pipeline.measure.alignment_rates`` prints the tables of docs/alignment.md.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from pipeline.brain.alignment import find_alignment
from pipeline.brain.packaged_heads import CORNERS, HEADS, SINGLE_HEAD, TEMPLATE_HEAD, sample
from pipeline.brain.skull import can_be_brain, strip_skull
from pipeline.brain.template import (
    LOWEST_OVERLAP,
    Template,
    load_template,
    register_to_template,
    template_brain,
)
from pipeline.brain.volume import dice, litres, load_volume, save_volume
from pipeline.geometry.affine import voxel_sizes
from pipeline.measure.changed_heads import (
    FAULTS,
    GOOD,
    Head,
    bad_masks,
    displaced,
    displacements,
    flipped,
    packaged,
)
from pipeline.measure.engines_page import markdown_table
from pipeline.qc.asymmetry import LOWEST_LIKENESS as LEAST_ALIKE
from pipeline.qc.asymmetry import brain_asymmetry, likeness
from pipeline.stage.errors import ImageError
from pipeline.stage.progress import progress

STRIPPER = "deepbet"  # the engine of the demonstration, and the quickest
KEPT = "kept"
PLAIN = next(iter(GOOD))  # the head as it is


@dataclass(frozen=True)
class Registered:
    """What a changed head became.

    Attributes
    ----------
    head : Head
        On the template's grid; None where it was refused.
    facts : dict
        As `register_to_template` returns them; empty where it was refused.
    refused : str
        Why, or ``""``.
    """

    head: Head | None
    facts: dict
    refused: str = ""


@dataclass(frozen=True)
class Stripped:
    """Litres of a stripped brain and its overlap with the template's, and what is said of it."""

    litres: float | None
    overlap: float | None
    said: str


Heads = dict[str, dict[str, Registered]]  # by packaged head and change


def register(head: Head, template: Template) -> Registered:
    """Register a head as the stage does."""
    with tempfile.TemporaryDirectory(prefix="rates-") as name:
        source, destination = Path(name, "head.nii"), Path(name, "registered.nii")
        save_volume(head.data, head.affine, source)
        try:
            facts = register_to_template(source, destination, template=str(template.path))
        except ImageError as error:
            return Registered(None, {}, f"refused: {error}")
        data, _ = load_volume(destination)
    matrix = np.array(facts["matrix"])
    brain = nib.Nifti1Image(head.brain.astype(np.float32), head.affine)
    inside = sample(brain, matrix, data.shape, template.affine) > 0.5
    return Registered(Head(data, inside, template.affine, head.origin @ matrix), facts)


def register_all(template: Template) -> Heads:
    """Register every head with every change, good or at fault."""
    changes = GOOD | FAULTS
    heads: Heads = {name: {} for name in HEADS}
    with progress(total=len(HEADS) * len(changes), desc="registering", unit="head") as bar:
        for name in HEADS:
            head = packaged(name)
            for change, changed in changes.items():
                heads[name][change] = register(changed(head), template)
                bar.update()
    return heads


def strip(head: Head, brain: np.ndarray) -> Stripped:
    """Strip a registered head and judge its brain as stage and quality control do."""
    with tempfile.TemporaryDirectory(prefix="rates-") as name:
        source, destination = Path(name, "head.nii"), Path(name, "brain.nii")
        save_volume(head.data, head.affine, source)
        try:
            strip_skull(source, destination, engine=STRIPPER)
        except ImageError as error:
            return Stripped(None, None, f"refused: {error}")
        mask = load_volume(destination)[0] != 0
    overlap = dice(mask, brain)
    said = "its brain hardly overlaps" if overlap < LOWEST_OVERLAP else ""
    return Stripped(litres(mask, head.affine), overlap, said)


def better_displaced(data: np.ndarray, template: Template, brain: np.ndarray) -> bool:
    """Whether a volume on the template's grid is said to fit better displaced."""
    return bool(find_alignment(data, template.data, brain, voxel_sizes(template.affine)).better)


def error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest distance between where two matrices put the corners of the brain."""
    off = apply_affine(found, CORNERS) - apply_affine(truth, CORNERS)
    return float(np.linalg.norm(off, axis=1).max())


def on_template(changed: dict[str, Registered]) -> dict[str, Head]:
    """Those of a packaged head's changes that were not refused."""
    return {change: one.head for change, one in changed.items() if one.head is not None}


def share(hits: Sequence[bool]) -> str:
    """How many of how many."""
    return f"{sum(hits)} of {len(hits)}"


def judge(heads: Heads, name: str, change: str, brain: np.ndarray) -> dict[str, str]:
    """A row: what is said of a changed head, and its figures."""
    one, there = heads[name][change], on_template(heads[name])
    row = {"head": name, "change": change, "judged": one.refused}
    if change not in there:
        return row | dict.fromkeys(("off by mm", "scale", "likeness", "litres", "overlap"), "")
    unposed = np.eye(4) if name == TEMPLATE_HEAD else there[PLAIN].origin
    stripped = strip(there[change], brain)
    return {
        **row,
        "judged": "; ".join(filter(None, [one.facts["alignment"], stripped.said])) or KEPT,
        "off by mm": f"{error_mm(there[change].origin, unposed):.1f}",
        "scale": f"{one.facts['scale']:.2f}",
        "likeness": f"{one.facts['likeness']:.2f}",
        "litres": "" if stripped.litres is None else f"{stripped.litres:.2f}",
        "overlap": "" if stripped.overlap is None else f"{stripped.overlap:.2f}",
    }


def later_faults(
    good: Sequence[Head], template: Template, brain: np.ndarray
) -> dict[str, list[bool]]:
    """Whether it is noticed that registered heads were displaced or flipped, or badly cut out."""
    noticed: dict[str, list[bool]] = defaultdict(list)
    for head in good:
        for kind, ways in displacements().items():
            for vector, shift in ways:
                data = displaced(head, vector, shift)
                noticed[kind].append(better_displaced(data, template, brain))
        for axis in range(3):
            data = flipped(head, axes=[axis]).data
            noticed[f"flipped along {'xyz'[axis]}"].append(better_displaced(data, template, brain))
        for kind, mask in bad_masks(head).items():
            refused = not can_be_brain(mask, template.affine)
            noticed[f"mask: {kind}"].append(refused or dice(mask, brain) < LOWEST_OVERLAP)
    return noticed


def sides(changed: dict[str, Registered], template: Template) -> list[dict[str, str]]:
    """Sessions of one subject against each other, and against one with its sides exchanged."""
    grid = nib.Nifti1Image(template.data, template.affine)

    def odd(head: Head) -> np.ndarray:
        return brain_asymmetry(nib.Nifti1Image(head.data * head.brain, head.affine), grid)

    there = on_template(changed)
    good = [odd(there[change]) for change in GOOD if change in there]
    alike = likeness([*good, odd(there["flipped along x"])])
    between = [alike[pair] for pair in combinations(range(len(good)), 2)]
    return [
        {"sessions": "both right", **_alike(between)},
        {"sessions": "one mirrored", **_alike(list(alike[-1, :-1]))},
    ]


def _alike(values: Sequence[float]) -> dict[str, str]:
    return {
        "pairs": str(len(values)),
        "likeness": f"{min(values):.2f} to {max(values):.2f}",
        "said to be mirrored": share([value < -LEAST_ALIKE for value in values]),
    }


def tables(heads: Heads, template: Template) -> Iterator[list[dict[str, str]]]:
    """Rows of good heads, of faulty ones, of faults after the registration, and of sides."""
    brain = template_brain(template)
    for changes in (GOOD, FAULTS):
        yield [judge(heads, *which, brain) for which in product(HEADS, changes)]
    rows = []
    for name in HEADS:
        there = on_template(heads[name])
        good = [there[change] for change in GOOD if change in there]
        noticed = later_faults(good, template, brain)
        rows += [
            {"head": name, "fault": fault, "noticed": share(hits)}
            for fault, hits in noticed.items()
        ]
    yield rows
    yield sides(heads[SINGLE_HEAD], template)  # an average has no sides


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="rates-") as folder:
        path = Path(folder) / "template.nii"
        average = packaged(TEMPLATE_HEAD)
        save_volume(average.data, average.affine, path)
        template = load_template(path)
        for rows in tables(register_all(template), template):
            print(markdown_table(rows), end="\n\n")


if __name__ == "__main__":
    main()
