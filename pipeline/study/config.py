"""Checks of the configuration, before the first job."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml

from pipeline.brain.engines import engine_mistakes
from pipeline.method.registry import METHODS, find_method
from pipeline.stage.errors import InputError, unknown
from pipeline.stage.layout import critic_weights

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def describe_dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    """What tables, pictures and pages tell of a data set.

    Returns
    -------
    dict
        ``title``, ``modality`` and ``disease`` (name, healthy, diseased) as configured, and
        ``data``: ``toy``, ``demo`` (simulated) or ``real``.
    """
    demo = dataset.get("demo") is not None
    kind = "toy" if dataset["source"] == "toy" else "demo" if demo else "real"
    return {key: dataset[key] for key in ("title", "modality", "disease")} | {"data": kind}


def _dotted(path: Iterator[str | int]) -> str:
    return ".".join(str(part) for part in path)


def _expected(schema: dict[str, Any]) -> str:
    """What a value should be, in words, from its JSON schema."""
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if choices:
        return "one of " + ", ".join(map(str, choices))
    words = schema.get("type", "a value")
    words = " or ".join(words) if isinstance(words, list) else words
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "minItems": "with at least this many entries:",
        "maxItems": "with at most this many entries:",
    }
    limits = [f"{phrase} {schema[key]}" for key, phrase in bounds.items() if key in schema]
    if schema.get("uniqueItems"):
        limits.append("all different")
    text = ", ".join([words, *limits])
    return f"{text} ({schema['description']})" if "description" in schema else text


def _explain(error: jsonschema.ValidationError) -> list[str]:
    """One line a mistake: the key, what was expected, the nearest known key."""
    where = _dotted(error.absolute_path)
    prefix = f"{where}: " if where else ""
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            extra = sorted(set(error.instance) - set(known))
            return [prefix + unknown("key", name, sorted(known)) for name in extra]
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            properties = error.schema.get("properties", {})
            return [
                f"{prefix}missing key {key!r}: expected {_expected(properties.get(key, {}))}"
                for key in missing
            ]
        case "not":  # a key that belongs to another source
            return [f"{where}: has no place here; it belongs to another source of data"]
        case "pattern":
            return [f"{prefix}{error.instance!r} cannot be a name: letters and digits only"]
        case _:
            return [f"{prefix}expected {_expected(error.schema)}, found {error.instance!r}"]


def _paths(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every (key, path) that must exist before the first job."""
    for name, dataset in config["datasets"].items():
        key = f"datasets.{name}"
        if dataset.get("demo") is None:
            archive = dataset.get("archive", {})
            made = {"orthanc", "films"} if archive.get("orthanc") else {"orthanc"}
            for part, path in archive.items():
                if path is not None and part not in made:
                    yield f"{key}.archive.{part}", path
        for split, path in dataset.get("splits", {}).get("lists", {}).items():
            yield f"{key}.splits.lists.{split}", path
        if dataset.get("brain", {}).get("template") is not None:
            yield f"{key}.brain.template", dataset["brain"]["template"]
        for part in ("keep", "drop"):
            if dataset.get("qc", {}).get(part) is not None:
                yield f"{key}.qc.{part}", dataset["qc"][part]
        weights = dataset["training"]["networks"]["critic_weights"]
        if isinstance(weights, dict):
            yield f"{key}.training.networks.critic_weights.file", weights["file"]


def _path_mistakes(config: dict[str, Any]) -> Iterator[str]:
    """Paths that do not exist, or are closed to the user who runs."""
    for key, path in _paths(config):
        try:
            there = Path(path).exists()
        except PermissionError:  # a folder above is closed
            there = True
        access = os.R_OK | (os.X_OK if os.path.isdir(path) else 0)  # noqa: PTH112 - never raises
        if not there:
            yield f"{key}: there is no {path!r}; correct the path or put the data there"
        elif not os.access(path, access, effective_ids=True):
            yield f"{key}: {path!r} cannot be read; make it readable for the user who runs"


def _list_mistakes(config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the lists of volumes to keep and to drop."""
    from pipeline.qc.overrides import read_overrides, subject_key  # pandas is slow to start

    for name, dataset in config["datasets"].items():
        if "qc" in dataset:
            lists = (path and Path(path) for path in map(dataset["qc"].get, ("keep", "drop")))
            try:
                read_overrides(*lists, subject_key(dataset["source"]))
            except InputError as error:
                yield f"datasets.{name}.qc: {error}"


def _server_mistakes(config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the servers that films are fetched from."""
    from pydicom.datadict import tag_for_keyword  # most configurations name no server

    for name, dataset in config["datasets"].items():
        server = dataset.get("archive", {}).get("orthanc")
        if not server:
            continue
        key = f"datasets.{name}.archive.orthanc"
        url = urlsplit(server["url"])
        if dataset.get("demo") is not None:
            yield f"{key}: a demonstration makes its films; set one of the two to null"
        if dataset["archive"]["films_table"] is not None:
            yield f"{key}: the films of a server are DICOM; set films_table to null"
        if "@" in url.netloc:  # not quoted: it may be a password
            yield f"{key}.url: holds a user; set ORTHANC_USER and ORTHANC_PASSWORD, or use netrc"
        elif not url.hostname or url.scheme not in ("http", "https"):
            yield f"{key}.url: expected https://HOST:PORT, found {server['url']!r}"
        elif url.scheme == "http" and url.hostname not in LOOPBACK:
            yield f"{key}.url: expected https, since patients' films and a password go this way"
        for keyword in server["query"]:
            if tag_for_keyword(keyword) is None:
                yield f"{key}.query: {keyword!r} is no keyword of DICOM"


def _engine_mistakes(config: dict[str, Any]) -> Iterator[str]:
    """Stages and engines of the brain that nobody knows."""
    for name, dataset in config["datasets"].items():
        if "brain" in dataset:
            yield from engine_mistakes(
                dataset["brain"]["engines"], f"datasets.{name}.brain.engines"
            )


def _size_mistakes(config: dict[str, Any]) -> Iterator[str]:
    """Images that the generators cannot halve as often as they are to."""
    keys = {"brain": "brain.shape", "chest": "chest.crop", "image": "squares.size"}
    for name, dataset in config["datasets"].items():
        shape, poolings = image_shape(config, name), dataset["training"]["networks"]["poolings"]
        if any(size % 2**poolings for size in shape):
            sizes = " x ".join(map(str, shape))
            yield (
                f"datasets.{name}.{keys[dataset['modality']]}: {sizes} cannot be halved {poolings} "
                f"times (training.networks.poolings); expected multiples of {2**poolings}"
            )


def _schema() -> dict[str, Any]:
    """The schema of a configuration, with the options and figures of each registered method."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    parts = schema["$defs"]
    parts["training"]["properties"]["methods"]["properties"] = {
        name: method.options.model_json_schema() for name, method in METHODS.items()
    }
    parts["published"]["properties"] = {name: {"$ref": "#/$defs/mean_sd"} for name in METHODS}
    return schema


def check_config(config: dict[str, Any]) -> None:
    """Check keys, values and paths of a configuration.

    Parameters
    ----------
    config
        The configuration as read from YAML.

    Raises
    ------
    InputError
        With one line a mistake: unknown and missing keys, values of a wrong kind, paths that do
        not exist.
    """
    validator = jsonschema.Draft202012Validator(_schema())
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    mistakes = [line for error in errors for line in _explain(error)]
    if not mistakes:
        mistakes = [*_engine_mistakes(config), *_path_mistakes(config)]
        mistakes += [
            f"datasets.{name}.figures.details.{part}.box: expected left, top, right, bottom with "
            f"left before right and top above bottom, found {detail['box']}"
            for name, dataset in config["datasets"].items()
            for part, detail in dataset.get("figures", {}).get("details", {}).items()
            if not (detail["box"][0] < detail["box"][2] and detail["box"][1] < detail["box"][3])
        ]
        mistakes += [
            f"datasets.{name}.published: a demonstration has no published figures"
            for name, dataset in config["datasets"].items()
            if dataset.get("demo") is not None and dataset.get("published") is not None
        ]
        mistakes += _size_mistakes(config)
        mistakes += _server_mistakes(config)
    if not mistakes:
        mistakes = list(_list_mistakes(config))
    if mistakes:
        unique = list(dict.fromkeys(mistakes))
        raise InputError("the configuration is wrong:\n" + "\n".join(f"  {m}" for m in unique))


def training_settings(config: dict[str, Any], dataset: str, method: str, seed: int) -> dict:
    """Everything that defines one fit; see `pipeline.method.interface.Method.settings`."""
    training = config["datasets"][dataset]["training"]
    shared = {key: value for key, value in training.items() if key not in ("networks", "methods")}
    networks = training["networks"]
    if networks["critic_weights"] != "random":
        networks = networks | {"critic_weights": f"results/{critic_weights(dataset)}"}
    return find_method(method).settings(shared | networks, training["methods"][method], seed)


def model_config(config: dict[str, Any], dataset: str, method: str) -> dict[str, Any]:
    """The part of a configuration that a model depends on; its seed is not in it."""
    options = config["datasets"][dataset]
    words = ("title", "disease", "figures", "published")
    shown = {key: options[key] for key in options if key not in words}
    methods = {method: options["training"]["methods"][method]}
    return {**shown, "training": {**options["training"], "methods": methods}}


def starts_from_weights(dataset: dict[str, Any]) -> bool:
    """Whether a critic of a data set's models starts from weights that must be fetched."""
    training = dataset["training"]
    critics = any("critic_weights" in find_method(m).shared for m in training["methods"])
    return critics and training["networks"]["critic_weights"] != "random"


def classifier_settings(config: dict[str, Any], dataset: str) -> dict[str, int]:
    """Settings of the classifier to compare with.

    It sees a sixth of the networks' updates: it learns sooner.
    """
    training = config["datasets"][dataset]["training"]
    return {
        "base_filters": training["networks"]["base_filters"],
        "batch_size": training["batch_size"],
        "updates": max(1, training["epochs"] * training["updates_per_epoch"] // 6),
    }


def image_shape(config: dict[str, Any], dataset: str) -> tuple[int, ...]:
    """Shape of the images that the networks of a data set see."""
    options = config["datasets"][dataset]
    match options["modality"]:
        case "brain":
            return tuple(options["brain"]["shape"])
        case "chest":
            return (options["chest"]["crop"],) * 2
        case _:
            return (options["squares"]["size"],) * 2


def gpus_per_training(device: str) -> int:
    """GPUs that a training job asks the scheduler for: none where there is none to use."""
    wanted = device != "cpu"
    return int(wanted and (device == "cuda" or Path("/dev/nvidiactl").exists()))
