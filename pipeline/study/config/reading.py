"""The configuration of a study: read, checked, and with everything that it does not say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from pipeline.method.registry import find_method
from pipeline.stage.errors import InputError
from pipeline.stage.layout import critic_weights
from pipeline.study.config.checks import list_mistakes, path_mistakes
from pipeline.study.config.datasets import AnyDataset
from pipeline.study.config.mistakes import explain
from pipeline.study.config.values import (
    ALL_DIFFERENT,
    Count,
    Name,
    NumberOf,
    Positive,
    Section,
)


class Sweep(Section):
    """The choice of lambda: one seed, and multiples of each method's lambda.

    Attributes
    ----------
    seed : int
        The one seed that is tried.
    """

    seed: NumberOf = 0
    factors: Annotated[
        list[Positive],
        Field(min_length=1, description="multiples of each method's lambda"),
        *ALL_DIFFERENT,
    ] = Field([0.25, 0.5, 1, 2, 4])


class Config(Section):
    """A study; what a configuration does not say is as in the paper.

    Attributes
    ----------
    device : str
        Where models are trained; ``auto`` is a GPU where there is one.
    jobs_per_gpu : int
        Trainings that may share a GPU where no scheduler hands them out.
    keep_intermediates : bool
        ``false`` removes volumes between the brain stages once they are used.
    datasets : dict
        What is studied; the names become folders of ``results``.
    """

    seeds: Annotated[
        list[NumberOf],
        Field(min_length=1, description="one model is trained for each seed"),
        *ALL_DIFFERENT,
    ] = Field([0, 1, 2, 3, 4])
    device: Literal["auto", "cpu", "cuda"] = "auto"
    jobs_per_gpu: Count = 1
    keep_intermediates: bool = True
    sweep: Sweep = Sweep()
    datasets: Annotated[dict[Name, AnyDataset], Field(min_length=1)]

    def effective(self) -> dict[str, Any]:
        """All keys and values, as YAML would hold them."""
        return self.model_dump()

    def training_settings(self, dataset: str, method: str, seed: int | str) -> dict[str, Any]:
        """Everything that defines one fit; see `pipeline.method.interface.Method.settings`."""
        training = self.datasets[dataset].training
        return training.of_method(method, int(seed), f"results/{critic_weights(dataset)}")

    def models_of(self, dataset: str) -> list[tuple[str, int]]:
        """Method and seed of each model of a data set.

        A method is fitted with every seed; with the first alone where chance has no part in it.
        """
        return [
            (method, seed)
            for method in self.datasets[dataset].training.methods
            for seed in (self.seeds if find_method(method).seeded else self.seeds[:1])
        ]

    def of_model(self, dataset: str, method: str) -> dict[str, Any]:
        """What a model depends on; its seed is not in it."""
        others = {"title", "disease", "figures", "published"}
        shown = self.datasets[dataset].model_dump(exclude=others)
        methods = {method: shown["training"]["methods"][method]}
        return {**shown, "training": {**shown["training"], "methods": methods}}

    def gpus_per_training(self) -> int:
        """GPUs that a training job asks the scheduler for: none where there is none to use."""
        there = self.device == "cuda" or Path("/dev/nvidiactl").exists()
        return int(self.device != "cpu" and there)


def parse_config(given: Mapping[str, Any]) -> Config:
    """Keys and values of a configuration, wherever its data may lie.

    Parameters
    ----------
    given
        The configuration as read from YAML.

    Raises
    ------
    InputError
        With one line a mistake: unknown and missing keys, and values of a wrong kind.
    """
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise _wrong(explain(error, Config, given)) from None


def read_config(given: Mapping[str, Any]) -> Config:
    """A configuration that a run can begin with.

    Parameters
    ----------
    given
        The configuration as read from YAML.

    Raises
    ------
    InputError
        As `parse_config`, and for paths that do not exist and lists that cannot be used.
    """
    config = parse_config(given)
    for mistakes_of in (path_mistakes, list_mistakes):
        mistakes = [
            line for name, dataset in config.datasets.items() for line in mistakes_of(name, dataset)
        ]
        if mistakes:
            raise _wrong(mistakes)
    return config


def _wrong(mistakes: list[str]) -> InputError:
    return InputError("the configuration is wrong:\n" + "\n".join(f"  {m}" for m in mistakes))
