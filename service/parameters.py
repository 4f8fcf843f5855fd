"""The parameters of a request. Whatever form it comes in, its parameters are the same."""

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from service.problems import Problem, quoted

_THE_MODELS = "Default: the model's own, in its `defaults`."


def whole_number(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is an integer to JSON Schema (6.1.1), and some write it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _split(value: Any) -> Any:
    """Of a text, in the query or a form, the numbers between its commas; or those of a list that
    was written as JSON, as generated clients write it into a form."""
    if not isinstance(value, str):
        return value
    try:
        return [float(number) for number in value.strip().strip("[]").split(",")]
    except ValueError:
        raise PydanticCustomError("region", NO_REGION) from None


def _check_region(sides: list[float]) -> list[float]:
    if len(sides) not in (4, 5):
        raise PydanticCustomError("region", NO_REGION)
    *image, left, top, right, bottom = sides
    if not all(map(math.isfinite, sides)):
        raise PydanticCustomError("region", "A side is no finite number")
    if image and (image[0] < 0 or not image[0].is_integer()):
        raise PydanticCustomError("region", "The image's place, before the sides, is 0, 1, 2, …")
    if left >= right or top >= bottom:
        raise PydanticCustomError(
            "region", "It is empty: left must be below right, top below bottom"
        )
    return sides


NO_REGION = (
    "A region is four numbers: left, top, right, bottom; of one image among several five, with its"
    " place before them"
)
Region = Annotated[
    list[float],
    BeforeValidator(_split),
    AfterValidator(_check_region),
    Field(json_schema_extra={"minItems": 4, "maxItems": 5}),
]
RegionResize = Literal["model", "warp"]
_PADDING = (
    "Context around each region, as a share of its width or height that is added on each side; the"
    " image's edge ends it. Default: 0."
)
_RESIZE = (
    "How a region becomes the model's input: as the model resizes an image, which may cut off its"
    " rim; or warped, each side by itself, so that all of it is seen. Default: model."
)
_NOVELTY = (
    "Whether each image's result has its `novelty`: the share of the model's training photos that"
    " are more usual than it, if the model has a companion that knows them. Default: false."
)


class RequestParameters(BaseModel):
    """Common to all tasks. Unknown parameters are refused, never ignored.

    NEEDS: parameters that mean nothing without another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    NEEDS: ClassVar[Mapping[str, str]] = {}

    model: str | None = Field(
        None,
        description="Name, or name/version, of the model. Default: the task's best, as measured.",
    )

    @property
    def wants_novelty(self) -> bool:
        """Whether results are to say how novel their images are."""
        return bool(getattr(self, "novelty", None))


class DetectParameters(RequestParameters):
    """Where a threshold is not given, the model's own default holds."""

    NEEDS = dict.fromkeys(("top_k", "region_padding", "region_resize"), "then")

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
    then: str | None = Field(
        None,
        min_length=1,
        description="Name, or name/version, of a classifier that is run on each detection's box:"
        " its `classifications`. Default: none.",
    )
    top_k: int | None = Field(
        None, ge=1, description=f"Classes of each detection, best first. {_THE_MODELS}"
    )
    region_padding: float | None = Field(None, ge=0, le=1, description=_PADDING)
    region_resize: RegionResize | None = Field(None, description=_RESIZE)
    regions: list[Region] | None = Field(
        None,
        min_length=1,
        description="Boxes in each image, where a model looks that must be told (an R-CNN): left,"
        " top, right, bottom in pixels of the upright image. Default: what selective search"
        " proposes.",
    )
    contours: bool | None = Field(
        None,
        description="Whether detections have their outlines, of a model that finds outlines."
        " Default: true.",
    )

    novelty: bool | None = Field(None, description=_NOVELTY)

    _whole = field_validator("max_detections", "top_k", mode="before")(whole_number)


class ClassifyParameters(RequestParameters):
    NEEDS = dict.fromkeys(("region_padding", "region_resize"), "regions")

    top_k: int | None = Field(
        None,
        ge=1,
        description="Classes of each image, best first; as many as the model has at most."
        f" {_THE_MODELS}",
    )
    regions: list[Region] | None = Field(
        None,
        min_length=1,
        description="Boxes in each image, which are classified in place of the whole: left, top,"
        " right, bottom in pixels of the upright image. One with five numbers is of a single image,"
        " whose place in the request, from 0, is the first of them. Default: none.",
    )
    region_padding: float | None = Field(None, ge=0, le=1, description=_PADDING)
    region_resize: RegionResize | None = Field(None, description=_RESIZE)

    novelty: bool | None = Field(None, description=_NOVELTY)

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
        parameters = kind.model_validate({**texts, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise _unknown(quoted(name), kind) from None
        raise Problem(
            "invalid_parameter", f"{name} = {quoted(first['input'])}: {first['msg']}."
        ) from None
    for name, needed in kind.NEEDS.items():
        if getattr(parameters, name) is not None and getattr(parameters, needed) is None:
            raise _unknown(f"{quoted(name)} without {needed}", kind)
    return parameters


def _unknown(name: str, kind: type[RequestParameters]) -> Problem:
    known = ", ".join(kind.model_fields)
    return Problem("unknown_parameter", f"There is no parameter {name}; there are {known}.")
