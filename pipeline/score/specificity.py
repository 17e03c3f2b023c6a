"""Whether an explanation is a patient's own: those of other subjects, tried on the same image.

An explanation that scores no better than other subjects' tells what the disease does on the
average and nothing of this patient. A displacement field of another subject deforms the image at
hand; a map of a method without fields is taken as it is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from pipeline.method.deformation import warp
from pipeline.method.explain import ImageExplanation
from pipeline.method.ncc import masked_ncc

MOST_OTHERS = 40  # subjects that are tried; of more, a sample
SEED = 0  # the same sample for every method and seed


class Evidence(NamedTuple):
    """What a method found in one subject.

    Attributes
    ----------
    subject : str
    values : array, shape (D, *spatial) or (*spatial)
        A displacement field phi in voxels (see `pipeline.method.deformation.warp`), or a map of
        differences.
    """

    subject: str
    values: np.ndarray

    @classmethod
    def of(cls, subject: str, explanation: ImageExplanation) -> "Evidence":
        """The field of an explanation; its difference where it has none."""
        field = explanation.displacement
        return cls(subject, explanation.difference if field is None else field)

    def on(self, image: np.ndarray) -> np.ndarray:
        """The difference (*spatial) that it makes to any subject's `image` (*spatial)."""
        if self.values.ndim == image.ndim:
            return self.values
        x1 = torch.from_numpy(np.array(image, dtype=np.float32))[None, None]
        return (warp(x1, torch.from_numpy(self.values)[None]) - x1)[0, 0].numpy()


def pairs_of_others(pairs: pd.DataFrame) -> pd.DataFrame:
    """The first pair of each subject; of more than `MOST_OTHERS` subjects, of a sample of them."""
    first = pairs.drop_duplicates("subject")
    return first if len(first) <= MOST_OTHERS else first.sample(MOST_OTHERS, random_state=SEED)


def ncc_of_others(
    others: Sequence[Evidence],
    subject: str,
    image: np.ndarray,
    observed: np.ndarray,
    mask: np.ndarray,
) -> float:
    """Mean score on one pair of what was found in other subjects.

    Parameters
    ----------
    others
        What was found; that of `subject` itself does not count.
    subject
        Whose pair it is.
    image, observed, mask : array, shape (*spatial)
        Diseased image, observed difference, and where that counts.

    Returns
    -------
    float
        Mean of Eq. 7 over the other subjects; not a number where there are none.
    """
    scores = [
        masked_ncc(observed, other.on(image), mask) for other in others if other.subject != subject
    ]
    return float(np.mean(scores)) if scores else float("nan")
