"""What a data set need not say, since its other keys tell: title, disease, and the like."""

from pathlib import Path
from typing import Any

KEY_FILE = "pseudonym.key"
ANSWERS = ("yes", "no", "true", "false")  # which say nothing without their question


def derived(given: Any) -> dict[str, Any]:
    """Keys and values that follow from what is given of a data set.

    Parameters
    ----------
    given
        A data set as read from YAML, right or wrong. What is missing or wrong is told when the data
        set is validated; here any text stands for it.

    Returns
    -------
    dict
        BIDS and manifests: ``title``, the name of the dataset's folder or of the table, and
        ``disease``, in the words of the labels. Manifests: ``archive.images``, the folder of the
        table. Films: ``labels.pseudonym_key``, beside the lung function tests, which are as secret.
    """
    source = given.get("source") if isinstance(given, dict) else None
    if source == "bids":
        return {"title": _path(given, "dataset").name or source, "disease": _disease(given)}
    if source == "manifest":
        table = _path(given, "table")
        named = {"title": table.stem or source, "disease": _disease(given)}
        return {**named, "archive": {"images": str(table.parent)}}
    if source == "copd":
        return {"labels": {"pseudonym_key": str(_path(given, "spirometry").with_name(KEY_FILE))}}
    return {}


def with_derived(given: Any) -> Any:
    """What is given of a data set, and below it what follows from that."""
    if not isinstance(given, dict):
        return given
    return _merged(derived(given), given)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def _section(given: dict[str, Any], key: str) -> dict[str, Any]:
    section = given.get(key)
    return section if isinstance(section, dict) else {}


def _path(given: dict[str, Any], key: str) -> Path:
    """A path of the archive; any where there is none."""
    path = _section(given, "archive").get(key)
    return Path(path if isinstance(path, str) and Path(path).name else key)


def _disease(given: dict[str, Any]) -> dict[str, str]:
    labels = _section(given, "labels")
    healthy, diseased = (_words(labels, group) for group in ("healthy", "diseased"))
    return {"name": diseased, "healthy": healthy, "diseased": diseased}


def _words(labels: dict[str, Any], group: str) -> str:
    """Values of a group; a number, yes or no with the name of its column."""
    values = labels.get(group)
    texts = [str(value) for value in values] if isinstance(values, list) else []
    column = labels.get("column")
    if column and not all(map(_is_name, texts)):
        texts = [f"{column} {text}" for text in texts]
    return ", ".join(texts) or group


def _is_name(text: str) -> bool:
    return any(map(str.isalpha, text)) and text.lower() not in ANSWERS
