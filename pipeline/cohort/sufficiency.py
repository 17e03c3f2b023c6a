"""Whether an ingest leaves enough to go on with."""

import pandas as pd

from pipeline.cohort.manifest import Cohort
from pipeline.stage.errors import InputError
from pipeline.stage.exclusions import count_rules

# Of subjects with a pair where some are trained on, too: by default none are of films.
SHARED = {"train": 0.34, "validation": 0.33, "test": 0.33}
_CLASSES = {0: "class 0 (healthy)", 1: "class 1 (diseased)"}


class TrainingError(InputError):
    """There are pairs, but no training image of one of the classes."""


def check_cohort(cohort: Cohort, name: str, unpaired: pd.Series | None = None) -> None:
    """Stop when there is nothing to train on or nothing to evaluate.

    Parameters
    ----------
    cohort
        Result of an ingest.
    name
        Name of the dataset, for the message.
    unpaired
        Why each subject that could not be paired was not, for the message.

    Raises
    ------
    TrainingError
        If training lacks images of a class, though there are pairs.
    InputError
        If validation or test lacks pairs. Each message counts what was excluded by rule.
    """
    manifest, pairs = cohort.manifest, cohort.pairs
    labels = manifest.loc[manifest["split"] == "train", "label"]
    missing = [
        f"training image of {title}"
        for label, title in _CLASSES.items()
        if label not in set(labels)
    ]
    missing += [
        f"{split} pair" for split in ("validation", "test") if split not in set(pairs["split"])
    ]
    if not missing:
        return
    images = manifest.groupby(["split", "label"]).size()
    kept = [f"{count} {split} of {_CLASSES[label]}" for (split, label), count in images.items()]
    lines = [
        f"{name}: no {', no '.join(missing)} is left. Correct the archive, its tables or the "
        "splits, by what removed them:",
        "  usable images: " + (", ".join(kept) or "none"),
        f"  evaluation pairs: {len(pairs)}",
    ]
    untrained = len(set(labels)) < len(_CLASSES) and len(pairs) > 0
    if unpaired is not None and untrained:
        fractions = ", ".join(f"{split}: {share}" for split, share in SHARED.items())
        lines.append(
            "  to train on some of the subjects with a pair, in the data set's section: "
            f"splits: {{fractions: {{{fractions}}}}}"
        )
    if unpaired is not None and len(unpaired):
        lines.append("  subjects without a pair:")
        lines += [f"    {count:6d}  {why}" for why, count in unpaired.value_counts().items()]
    if len(cohort.exclusions):
        lines.append("  excluded:")
        counts = count_rules(cohort.exclusions)[["count", "item", "title"]]
        lines += [
            f"    {count:6d}  {item}: {title}"
            for count, item, title in counts.itertuples(index=False)
        ]
    raise (TrainingError if untrained else InputError)("\n".join(lines))
