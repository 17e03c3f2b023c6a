"""Classifiers that no method has seen judge whether an explanation takes the disease off."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from pipeline.method.disease_classifier import Classifier

NAN = float("nan")


class Judges:
    """Classifiers that no method has seen: other seeds, the same training images.

    A classifier's own 0 seldom tells the images of pairs apart, though its ranks may, and each is
    off by another amount: `set_thresholds` shifts it.
    """

    def __init__(self, networks: Iterable[Classifier], device: torch.device) -> None:
        self.networks, self.device = list(networks), device
        self.thresholds = np.zeros(len(self.networks))

    def set_thresholds(self, ill: Iterable[np.ndarray], well: Iterable[np.ndarray]) -> None:
        """Let 0 be where each judge tells diseased from healthy images (*spatial) best."""
        said = [np.transpose([self.diseased(image) for image in images]) for images in (ill, well)]
        self.thresholds += [best_threshold(*of_judge) for of_judge in zip(*said, strict=True)]

    @torch.no_grad()
    def diseased(self, image: np.ndarray) -> np.ndarray:
        """Logits (judges,) of the disease in an image (*spatial)."""
        batch = torch.from_numpy(np.array(image, np.float32))[None, None].to(self.device)
        return np.array([float(network(batch)) for network in self.networks]) - self.thresholds


def best_threshold(ill: np.ndarray, well: np.ndarray) -> float:
    """Threshold of the highest sensitivity plus specificity (Youden, Cancer 1950).

    Logits of diseased and of healthy images. Thresholds between two logits are tried; of several
    that are as good, that in the middle of their list.

    Raises
    ------
    ValueError
        If a logit is not finite.
    """
    values = np.unique([*ill, *well])
    if not np.isfinite(values).all():
        raise ValueError("a classifier to judge with has not learned: its logits are not finite")
    between = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    gain = np.array([(ill > value).mean() - (well > value).mean() for value in between])
    best = between[np.isclose(gain, gain.max())]
    return float(best[len(best) // 2])


def validity(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the judges that call an image diseased `before` and healthy `after`.

    Logits (judges,). Of those that call it diseased; not a number where none does.
    """
    ill = before > 0
    return float((after[ill] <= 0).mean()) if ill.any() else NAN


def mean_auc(ill: Sequence[np.ndarray], well: Sequence[np.ndarray]) -> float:
    """Mean area under the ROC curve over the judges; logits (judges,) of each image."""
    wanted = np.repeat([1, 0], [len(ill), len(well)])
    logits = np.array([*ill, *well]).T
    return float(np.mean([roc_auc_score(wanted, of_judge) for of_judge in logits]))
