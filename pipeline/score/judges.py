"""Classifiers that no method has seen judge whether an explanation takes the disease off."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from pipeline.method.disease_classifier import Classifier

NAN = float("nan")


class Judges:
    """Classifiers that no method has seen: other seeds, the same training images."""

    def __init__(self, networks: Iterable[Classifier], device: torch.device) -> None:
        self.networks, self.device = list(networks), device

    @torch.no_grad()
    def diseased(self, image: np.ndarray) -> np.ndarray:
        """Logits (judges,) of the disease in an image (*spatial)."""
        batch = torch.from_numpy(np.array(image, np.float32))[None, None].to(self.device)
        return np.array([float(network(batch)) for network in self.networks])


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
