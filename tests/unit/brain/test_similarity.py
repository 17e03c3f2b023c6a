import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.brain.similarity import nearest_similarity
from pipeline.stage.errors import ImageError


def similarity(scale: float, angles: tuple[float, float, float], shift: list[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def test_nearest_similarity_drops_shear_and_unequal_scales() -> None:
    wanted = similarity(1.1, (10, -20, 5), [3, 4, 5])
    np.testing.assert_allclose(nearest_similarity(wanted), wanted, atol=1e-12)
    stretched = wanted @ np.diag([1.1, 1.0, 0.9, 1])
    np.testing.assert_allclose(nearest_similarity(stretched), wanted, atol=1e-12)
    with pytest.raises(ImageError, match="mirrors"):
        nearest_similarity(np.diag([-1.0, 1, 1, 1]))
