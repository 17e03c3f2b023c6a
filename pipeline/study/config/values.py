"""What the keys of a configuration may hold: kinds of values, and sections of keys."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pipeline.method.options import AsWritten
from pipeline.method.options import AtLeastZero as AtLeastZero
from pipeline.method.options import Count as Count
from pipeline.method.options import NumberOf as NumberOf
from pipeline.method.options import Positive as Positive
from pipeline.method.options import mistake as mistake


class Section(BaseModel):
    """A part of a configuration: every key is known, and nothing changes once it is read."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        serialize_by_alias=True,
    )


def _all_different(values: list[Any]) -> list[Any]:
    if any(value in values[:index] for index, value in enumerate(values)):
        raise PydanticCustomError("repeated", "all different")
    return values


def is_none(value: object) -> bool:
    """For keys that are left out where they say nothing."""
    return value is None


Number = Annotated[float, AsWritten]
Share = Annotated[float, Field(ge=0, le=1), AsWritten]
Between0And1 = Annotated[float, Field(gt=0, lt=1), AsWritten]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")]
ALL_DIFFERENT = (AfterValidator(_all_different), Field(json_schema_extra={"uniqueItems": True}))
Range = Annotated[
    list[Number], Field(min_length=2, max_length=2, description="lowest and highest value")
]


def unsaid(**keys: Any) -> Any:
    """Default of a section, which is validated as if `keys` had been written."""
    return Field(default_factory=lambda: dict(keys))


class Keys:
    """Annotation of a dict whose keys are those of a table: each may be missing, none is unknown.

    Parameters
    ----------
    kinds
        What each key holds: a type, or a schema of pydantic's core.
    defaults
        For a key that holds a section, what stands in it unless it is given.
    """

    def __init__(
        self,
        kinds: Mapping[str, Any],
        defaults: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self.kinds = kinds
        self.defaults = defaults or {}

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """As of a `TypedDict`, which cannot be written down for names from a table."""
        fields = {
            name: core_schema.typed_dict_field(self._schema(name, handler), required=False)
            for name in self.kinds
        }
        return core_schema.typed_dict_schema(fields, extra_behavior="forbid")

    def _schema(self, name: str, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind, defaults = self.kinds[name], self.defaults.get(name, {})
        schema: CoreSchema = kind if isinstance(kind, dict) else handler.generate_schema(kind)

        def fill_in(given: object) -> object:
            return {**defaults, **given} if isinstance(given, dict) else given

        if not defaults:
            return schema
        return core_schema.no_info_before_validator_function(fill_in, schema)
