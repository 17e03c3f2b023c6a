"""Options of a method: read from a configuration, checked, and told when they are wrong."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.stage.errors import InputError

Count = Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """Named options; a trailing underscore is none of the name (``lambda_`` is ``lambda``)."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.removesuffix("_"),
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        strict=True,
    )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Options from a section of a configuration.

        Raises
        ------
        InputError
            If an option is unknown, missing or wrong; every one is named.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            mistakes = error.errors(include_url=False)
        raise InputError("; ".join(map(_told, mistakes)))

    def to_dict(self) -> dict[str, Any]:
        """The options that `read` reads."""
        return self.model_dump(by_alias=True, exclude_none=True)


def _told(mistake: Any) -> str:
    name = ".".join(map(str, mistake["loc"]))
    match mistake["type"]:
        case "extra_forbidden":
            return f"unknown option: {name}"
        case "missing":
            return f"missing option: {name}"
        case _:
            expected = mistake["msg"].replace("Input should be", "expected")
            return f"{name}: {expected}, found {mistake['input']!r}"
