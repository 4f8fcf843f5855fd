"""The parameters of a request. Whatever form it comes in, its parameters are the same."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from service.problems import Problem, quoted

_THE_MODELS = "Default: the model's own, in its `defaults`."


def whole_number(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is an integer to JSON Schema (6.1.1), and some write it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class RequestParameters(BaseModel):
    """Common to all tasks. Unknown parameters are refused, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None,
        description="Name, or name/version, of the model. Default: the task's first by name.",
    )


class DetectParameters(RequestParameters):
    """Where a threshold is not given, the model's own default holds."""

    score_threshold: float | None = Field(
        None, ge=0, le=1, description=f"Detections must score above it. {_THE_MODELS}"
    )
    iou_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of two boxes of one label whose intersection over union is above it, only the"
        f" one that scores higher stays. {_THE_MODELS}",
    )
    class_agnostic: bool | None = Field(
        None,
        description="Whether boxes of different labels compete as well, so that an object gets"
        " one. Default: false.",
    )
    max_detections: int | None = Field(
        None, ge=1, le=1000, description=f"The best of each image. {_THE_MODELS}"
    )
    labels: list[str] | None = Field(
        None,
        min_length=1,
        description="Names of the labels to keep, before the best are chosen. Default: all.",
    )

    _whole = field_validator("max_detections", mode="before")(whole_number)


class ClassifyParameters(RequestParameters):
    top_k: int | None = Field(
        None,
        ge=1,
        description="Classes of each image, best first; as many as the model has at most."
        f" {_THE_MODELS}",
    )

    _whole = field_validator("top_k", mode="before")(whole_number)


NOTHING: Mapping[str, Any] = MappingProxyType({})

Parameters = TypeVar("Parameters", bound=RequestParameters)


@cache
def _defaults(kind: type[Parameters]) -> Parameters:
    """Those of a request that gives none; frozen, so all may have the same."""
    return kind()


def read_parameters(
    kind: type[Parameters], texts: Mapping[str, Any], typed: Mapping[str, Any] = NOTHING
) -> Parameters:
    """Check parameters that came as ``texts``, and those of JSON, which must have the right type.

    Raises Problem naming the first that is wrong.
    """
    if not (texts or typed):
        defaults: Parameters = _defaults(kind)
        return defaults
    try:
        strict = kind.model_validate(dict(typed), strict=True)
        given = {name: getattr(strict, name) for name in strict.model_fields_set}
        return kind.model_validate({**texts, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields)
            raise Problem(
                "unknown_parameter", f"There is no parameter {quoted(name)}; there are {known}."
            ) from None
        raise Problem(
            "invalid_parameter", f"{name} = {quoted(first['input'])}: {first['msg']}."
        ) from None
