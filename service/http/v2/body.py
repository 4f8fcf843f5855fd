"""Reading bodies: JSON, and of a request for inference the tensors sent as bytes after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from service.http.body import load_json
from service.http.v2.tensors import BYTES, InputTensor, TensorContent
from service.problems import Problem, quoted

LENGTH_HEADER = "Inference-Header-Content-Length"
MAX_DIGITS = 12  # of that header
MAX_TENSORS = 16  # more than any model has
MAX_TENSOR_VALUES = 2_000_000  # an image of 800 x 800; each takes some 60 times its one byte
MAX_JSON_VALUES = 10_000  # of a request without tensors

Dimension = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class Part(BaseModel):
    """An object of the JSON. Python's types of the protocol, such as MLServer's, write the members
    that they do not set as null: that is as if they were absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        return {name: value for name, value in sent.items() if value is not None}


ContentType = Literal["base64", "str", "np"]


class InputParameters(Part):
    """``content_type`` is how MLServer's codecs say what a tensor is made of."""

    binary_data_size: Annotated[int, Field(strict=True, ge=0)] | None = None
    content_type: ContentType | None = None


class InputPart(Part):
    name: str
    datatype: str
    shape: list[Dimension] = Field(max_length=8)
    parameters: InputParameters = InputParameters()
    data: Any = None

    @model_validator(mode="after")
    def _check_content_type(self) -> Self:
        """A file is base64 text, by whichever codec; the rest are numbers."""
        stated = self.parameters.content_type
        if self.datatype != BYTES and stated not in (None, "np"):
            raise ValueError(f"content_type: of {self.datatype} it is np, not {stated}")
        return self


class OutputParameters(Part):
    binary_data: StrictBool | None = None


class OutputPart(Part):
    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Part):
    """The rest are for the model."""

    model_config = ConfigDict(extra="allow")

    binary_data_output: StrictBool = False
    content_type: ContentType | None = None


class RequestPart(Part):
    """The JSON of a request. Some clients name the model here as well; the path does it."""

    id: str = Field("", max_length=1000)
    model_name: str = ""
    model_version: str = ""
    parameters: RequestParameters = RequestParameters()
    inputs: list[InputPart] = Field(max_length=MAX_TENSORS)
    outputs: list[OutputPart] = Field([], max_length=MAX_TENSORS)


class IndexPart(Part):
    """The JSON of a request for the models of the store."""

    ready: bool = False


class ChangePart(Part):
    """The JSON of a request that loads or unloads a model."""

    parameters: dict[str, Any] = {}


@dataclass(frozen=True)
class InferBody:
    """What was sent, by name; not yet whether the model has such tensors.

    outputs: of each that was named, whether it is wanted as bytes.
    binary: whether the rest are.
    """

    id: str
    parameters: dict[str, Any]
    inputs: dict[str, InputTensor]
    outputs: dict[str, bool]
    binary: bool


def read_infer_body(body: bytes, header_length: str | None) -> InferBody:
    """Take ``body`` apart.

    header_length: the header `LENGTH_HEADER`, bytes of JSON that ``body`` begins with; without it
    all is JSON. Raises Problem with one sentence on what is wrong.
    """
    length = _json_length(header_length, len(body))
    sent = read_json(RequestPart, body[:length], MAX_TENSOR_VALUES)
    return to_infer_body(sent, _read_contents(sent.inputs, memoryview(body)[length:]))


def to_infer_body(sent: RequestPart, contents: Iterable[TensorContent]) -> InferBody:
    """``sent`` with the contents of its inputs, in their order; raises Problem if a name is there
    twice."""
    binary = sent.parameters.binary_data_output
    tensors: dict[str, InputTensor] = {}
    for part, content in zip(sent.inputs, contents, strict=True):
        if part.name in tensors:
            raise _malformed(f"{part.name} is given twice")
        tensors[part.name] = InputTensor(part.name, part.datatype, tuple(part.shape), content)
    outputs = _read_outputs(sent.outputs, default=binary)
    return InferBody(sent.id, sent.parameters.model_extra or {}, tensors, outputs, binary)


JsonPart = TypeVar("JsonPart", bound=Part)


def read_json(kind: type[JsonPart], text: bytes, max_values: int = MAX_JSON_VALUES) -> JsonPart:
    """``text`` as a ``kind``; raises Problem naming the first fault."""
    return read_part(kind, load_json(text, max_values, "; send tensors as binary data"))


def read_part(kind: type[JsonPart], sent: Any) -> JsonPart:
    """``sent``, plain values, as a ``kind``; raises Problem naming the first fault."""
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "The JSON"
        raise _malformed(f"{where}: {first['msg']}") from None


def _json_length(text: str | None, size: int) -> int:
    if text is None:
        return size
    digits = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    if not digits or int(text) > size:
        raise _malformed(
            f"{LENGTH_HEADER}: {quoted(text)} is not a length within the body's {size} bytes"
        )
    return int(text)


def _read_contents(parts: list[InputPart], binary: memoryview) -> list[TensorContent]:
    contents: list[TensorContent] = []
    start = 0
    for part in parts:
        content, size = part.data, part.parameters.binary_data_size
        if size is not None:
            content = _cut(part, binary, start, size)
            start += size
        elif not isinstance(content, list):
            raise _malformed(f"{part.name}: data must be a list")
        contents.append(content)
    if start != len(binary):
        raise _malformed(f"{len(binary) - start} bytes follow the tensors")
    return contents


def _cut(part: InputPart, binary: memoryview, start: int, size: int) -> memoryview:
    if part.data is not None:
        raise _malformed(f"{part.name}: has both data and binary_data_size")
    if size > len(binary) - start:
        raise _malformed(
            f"{part.name}: binary_data_size is {size}, and {len(binary) - start} bytes are left"
            f" after the JSON ({LENGTH_HEADER})"
        )
    return binary[start : start + size]


def _read_outputs(parts: list[OutputPart], *, default: bool) -> dict[str, bool]:
    wanted: dict[str, bool] = {}
    for part in parts:
        if part.name in wanted:
            raise _malformed(f"The output {part.name} is asked for twice")
        own = part.parameters.binary_data
        wanted[part.name] = default if own is None else own
    return wanted


def _malformed(what: str) -> Problem:
    return Problem("malformed_body", f"{what}.")
