"""Options of a method: read from a configuration, checked, and told when they are wrong."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline.stage.errors import InputError


def _as_written(value: object, check: ValidatorFunctionWrapHandler) -> float:
    """15 stays 15 and does not become 15.0: settings are compared as text from run to run."""
    checked: float = check(value)
    return value if isinstance(value, int) else checked


AsWritten = WrapValidator(_as_written)
Positive = Annotated[float, Field(gt=0), AsWritten]
AtLeastZero = Annotated[float, Field(ge=0), AsWritten]
Count = Annotated[int, Field(ge=1)]
NumberOf = Annotated[int, Field(ge=0)]


def mistake(text: str, key: str = "") -> PydanticCustomError:
    """An error for a validator to raise: `text`, told at `key` of what is validated."""
    return PydanticCustomError("mistake", "{text}", {"text": text, "key": key})


class Options(BaseModel):
    """Named options; a trailing underscore is none of the name (``lambda_`` is ``lambda``)."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.removesuffix("_"),
        allow_inf_nan=False,
        extra="forbid",
        serialize_by_alias=True,
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
        return self.model_dump(exclude_none=True)


def _told(error: ErrorDetails) -> str:
    name = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "extra_forbidden":
            return f"unknown option: {name}"
        case "missing":
            return f"missing option: {name}"
        case "mistake":
            return f"{error['ctx']['key']}: {error['msg']}"
        case _:
            expected = error["msg"].replace("Input should be", "expected")
            return f"{name}: {expected}, found {error['input']!r}"
