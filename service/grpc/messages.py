"""Messages of the protocol from and to what `service.http.v2` reads and gives: the checks of a
request over HTTP, and the rows of its reply, hold over gRPC too."""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from service.engine.answer import Answer
from service.grpc import open_inference_pb2 as pb
from service.grpc.wire import split_request
from service.http.v2.body import InferBody, RequestPart, read_part, to_infer_body
from service.http.v2.inference_request import InferenceRequest
from service.http.v2.outputs import Predictions, answered_by, make_output
from service.http.v2.tensors import BYTES, TensorContent
from service.problems import Problem, quoted

# Which field of a tensor's contents is read, by its datatype.
CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    BYTES: "bytes_contents",
}
Sent = TypeVar("Sent", bound=Message)


def parse(kind: type[Sent], message: bytes) -> Sent:
    """``message`` as a ``kind``; raises Problem if it is none."""
    try:
        return kind.FromString(message)
    except DecodeError:
        raise _malformed("The message cannot be read: it is no message of this method") from None


def to_message(kind: type[Sent], content: dict[str, Any]) -> Sent:
    """What a reply over HTTP says, as a ``kind``, whose fields have the same names."""
    return ParseDict(content, kind())


def read_infer(message: bytes) -> tuple[dict[str, str], InferBody]:
    """The name and the version of the model that a ModelInferRequest asks, and what it asks.

    Raises Problem with one sentence on what is wrong.
    """
    rest, raw = split_request(message)
    sent = parse(pb.ModelInferRequest, rest)
    part = {
        "id": sent.id,
        "parameters": _parameters(sent.parameters),
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": _parameters(tensor.parameters),
            }
            for tensor in sent.inputs
        ],
        "outputs": [
            {"name": tensor.name, "parameters": _parameters(tensor.parameters)}
            for tensor in sent.outputs
        ],
    }
    body = to_infer_body(read_part(RequestPart, part), _contents(sent, raw))
    return model_named(sent.model_name, sent.model_version), body


def model_named(name: str, version: str = "") -> dict[str, str]:
    """`service.request.Request.parameters` of a message's fields."""
    return {"name": name, "version": version} if version else {"name": name}


def infer_response(answer: Answer, asked: InferenceRequest) -> pb.ModelInferResponse:
    """All outputs are raw; raises the Problem of the first image that has one."""
    predictions = Predictions.of(answer, asked.max_rows)
    tensors = [make_output(name, predictions) for name in asked.outputs]
    name, version = answered_by(answer)
    return pb.ModelInferResponse(
        model_name=name,
        model_version=version,
        id=asked.id,
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
            )
            for tensor in tensors
        ],
        raw_output_contents=[tensor.to_bytes() for tensor in tensors],
    )


def _contents(sent: pb.ModelInferRequest, raw: list[memoryview]) -> list[TensorContent]:
    if not raw:
        return [_typed(tensor) for tensor in sent.inputs]
    if len(raw) != len(sent.inputs):
        raise _malformed(f"{len(raw)} raw_input_contents were sent for {len(sent.inputs)} inputs")
    for tensor in sent.inputs:
        if tensor.HasField("contents"):
            raise _malformed(f"{tensor.name}: has both contents and raw_input_contents")
    return [*raw]


def _typed(tensor: pb.ModelInferRequest.InferInputTensor) -> list[Any]:
    """The values of ``tensor``, of the field that its datatype has; of an unknown datatype none,
    which no model has."""
    field = CONTENTS.get(tensor.datatype)
    given = {descriptor.name for descriptor, _ in tensor.contents.ListFields()}
    if field is None:
        return []
    if others := given - {field}:
        raise _malformed(f"{tensor.name}: {tensor.datatype} has {field}, not {min(others)}")
    return list(getattr(tensor.contents, field))


def _parameters(sent: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    values = {}
    for name, parameter in sent.items():
        field = parameter.WhichOneof("parameter_choice")
        if field is None:
            raise _malformed(f"The parameter {quoted(name)} has no value")
        values[name] = getattr(parameter, field)
    return values


def _malformed(what: str) -> Problem:
    return Problem("malformed_body", f"{what}.")
