"""A new film, or an image that needs no preparation: explained as those of a study."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.biomarkers.population import film_ruler
from pipeline.method.explain import ImageExplanation, explain_image, explain_prepared
from pipeline.method.interface import Explainer
from pipeline.stage.errors import InputError
from pipeline.study.config.datasets import FilmDataset, ImageDataset
from pipeline.study.explained import Explained, in_words


def explain_film(source: Path, model: Explainer, folder: Path, dataset: FilmDataset) -> Explained:
    """Prepare a film, explain it, and write what comes out into `folder`.

    Raises
    ------
    ImageError
        The film cannot be used.
    """
    from pipeline.chest.frame import find_frame
    from pipeline.chest.prepare import centre_crop, prepare_film
    from pipeline.dicom.film import read_film

    chest = dataset.chest
    raw = read_film(source)
    film = prepare_film(raw, chest.resize)
    explanation = explain_image(model, centre_crop(film, chest.crop))
    _write_arrays(explanation, folder)
    frame = find_frame(raw)._asdict()
    step = {"stage": "film", "frame_px": frame, "resize": chest.resize, "crop": chest.crop}
    return Explained(explanation, [step], lambda: film_ruler(chest.resize, chest.crop))


def _write_arrays(explanation: ImageExplanation, folder: Path) -> None:
    arrays = {
        "image": explanation.image,
        "modified": explanation.modified,
        "difference": explanation.difference,
    }
    for name in ("image", "modified"):
        grey = np.clip((arrays[name] + 1) / 2 * 65535, 0, 65535).round().astype(np.uint16)
        Image.fromarray(grey).save(folder / f"{'prepared' if name == 'image' else name}.png")
    if explanation.displacement is not None:
        arrays["displacement"] = explanation.displacement
    np.savez_compressed(folder / "explanation.npz", allow_pickle=False, **arrays)


def read_image(source: Path) -> np.ndarray:
    """An image as the networks see it: an NPY array as it is, a PNG from -1 (black) to 1.

    Raises
    ------
    InputError
        If the file holds no grey image.
    """
    try:
        if Path(source).suffix == ".npy":
            image = np.load(source, allow_pickle=False)
            scale = None
        else:
            with Image.open(source, formats=["PNG"]) as picture:
                scale = 65535 if picture.mode.startswith("I") else 255
                image = np.asarray(picture if scale == 65535 else picture.convert("L"))
        image = image.astype(np.float32)
    except (OSError, ValueError) as error:
        raise InputError(f"{source} is neither an NPY array of numbers nor a PNG") from error
    if not np.isfinite(image).all():
        raise InputError(f"{source} holds values that are no numbers")
    return image if scale is None else image / scale * 2 - 1


def explain_picture(
    source: Path, model: Explainer, folder: Path, dataset: ImageDataset
) -> Explained:
    """Explain an image that is ready for the networks, and write what comes out into `folder`.

    Raises
    ------
    InputError
        As `read_image`, or the image is of another size.
    """
    image, side = read_image(source), dataset.squares.size
    if image.shape != (side, side):
        raise InputError(
            f"{source} is of {in_words(image.shape)}; the model explains images of {side} x {side}"
        )
    explanation = explain_prepared(model, image)
    _write_arrays(explanation, folder)
    return Explained(explanation, [])
