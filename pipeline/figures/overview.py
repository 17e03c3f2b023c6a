"""One picture of the whole: an image, its healthy counterpart, predicted and observed change.

Shown is, for each data set, the test pair of median score, so that nothing is picked by hand.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from pipeline.dataset import PackedDataset
from pipeline.files import atomic_path
from pipeline.method.explain import explain_images, load_generator

matplotlib.use("agg")
from matplotlib import pyplot as plt

DIFFERENCE_RANGE = 0.4  # colours of the differences, as in the authors' figures
QUIVER_STEP = 4  # voxels from arrow to arrow, likewise


def _slice(volume: np.ndarray, level: int) -> np.ndarray:
    """An axial slice of a volume (x, y, z) as a picture, front of the head up; a film as it is."""
    return volume if volume.ndim == 2 else volume[:, :, level].T[::-1]


def _arrows(field: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Displacements rightwards and downwards in the picture, voxels, from phi (d, *spatial)."""
    if len(field) == 2:
        return field[0], field[1]
    # Channel 0 runs along z, 1 along y and 2 along x; the picture shows y upwards.
    return _slice(field[2], level), -_slice(field[1], level)


def show_difference(axes: plt.Axes, image: np.ndarray, difference: np.ndarray) -> None:
    """Show a difference over its image: pink brighter, green darker."""
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1)
    opacity = np.clip(np.abs(4 * difference), 0, 1)
    axes.imshow(
        difference, cmap="PiYG_r", vmin=-DIFFERENCE_RANGE, vmax=DIFFERENCE_RANGE, alpha=opacity
    )


def show_field(axes: plt.Axes, image: np.ndarray, right: np.ndarray, down: np.ndarray) -> None:
    """Show a displacement field, in pixels rightwards and downwards, over its image."""
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1)
    rows, columns = (np.arange(QUIVER_STEP // 2, size, QUIVER_STEP) for size in image.shape)
    u, v = (part[np.ix_(rows, columns)] for part in (right, down))
    # xhat0(p) = x1(p + phi): what is at p came from p + phi. Arrows run from there to p.
    axes.quiver(
        *(columns + u, rows[:, None] + v, -u, -v, np.hypot(u, v)),
        angles="xy",
        scale_units="xy",
        scale=1,
        cmap="viridis",
        width=0.006,
    )
    axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))


def draw_overview(
    datasets: dict[str, tuple[Path, Path, Path]], demos: list[str], destination: Path
) -> None:
    """Draw a row a data set with the explanation of DeFI-GAN.

    Parameters
    ----------
    datasets
        By name: packed data set, generator (safetensors) and scores (Parquet) of one model.
    demos
        Names of those that are simulated, which the picture says.
    destination
        PNG file written.
    """
    titles = [
        "diseased image",
        "healthy counterpart",
        "field",
        "predicted change",
        "observed change",
    ]
    figure, grid = plt.subplots(
        len(datasets), len(titles), figsize=(11, 2.4 * len(datasets)), squeeze=False
    )
    for row, (name, (packed, generator, scores)) in zip(grid, datasets.items(), strict=True):
        data = PackedDataset.open(packed)
        ranked = pd.read_parquet(scores).sort_values("ncc", ignore_index=True)
        pair = ranked.iloc[len(ranked) // 2]
        index = data.pairs_index
        chosen = (
            index[["subject", "followup", "baseline"]] == pair[["subject", "followup", "baseline"]]
        )
        at = int(index.loc[chosen.all(axis=1), "row"].item())
        image, mask = np.array(data.pairs_image[at]), data.pairs_mask[at]
        xhat0, change = explain_images(load_generator(generator), image[None])
        level = image.shape[-1] // 2
        observed = _slice(data.pairs_difference[at], level)
        predicted = _slice(np.where(mask, xhat0[0] - image, 0), level)
        right, down = _arrows(change[0], level)
        image, modified = _slice(image, level), _slice(xhat0[0], level)
        for axes, picture in zip(row[:2], (image, modified), strict=True):
            axes.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        show_field(row[2], image, right, down)
        show_difference(row[3], image, predicted)
        show_difference(row[4], image, observed)
        title = f"{name} (simulated)" if name in demos else name
        row[0].set_ylabel(f"{title}\nNCC {pair['ncc']:.2f}")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.tight_layout()
    with atomic_path(destination) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)
