"""What is taken out of a request for inference, and counted, before protobuf reads it."""

import pytest

from service.grpc import open_inference_pb2 as pb
from service.grpc.wire import FIELD_VALUES, split_request
from service.http.v2.body import MAX_TENSOR_VALUES
from service.problems import Problem
from tests.service.grpc.servers import infer_request

Input = pb.ModelInferRequest.InferInputTensor


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def test_raw_tensors_are_taken_out_wherever_they_are() -> None:
    request = infer_request(b"photo", id="a7")
    whole = request.SerializeToString()
    raw = pb.ModelInferRequest(raw_input_contents=[b"", b"x" * 300]).SerializeToString()
    rest, found = split_request(raw + whole + raw)
    assert list(map(bytes, found)) == [
        b"",
        b"x" * 300,
        *request.raw_input_contents,
        b"",
        b"x" * 300,
    ]
    del request.raw_input_contents[:]
    assert pb.ModelInferRequest.FromString(rest) == request


def test_raw_tensors_are_not_copied() -> None:
    message = infer_request(b"photo").SerializeToString()
    (raw,) = split_request(message)[1]
    assert raw.obj is message


def test_every_field_of_the_protocol_is_read() -> None:
    request = infer_request(b"photo", model_version="3", id="a7")
    request.parameters["top_k"].int64_param = -1
    request.parameters["score_threshold"].double_param = 0.5
    request.inputs[0].parameters["content_type"].string_param = "str"
    request.inputs.add(name="t", datatype="FP32", shape=[1]).contents.fp32_contents.append(1.5)
    request.outputs.add(name="scores").parameters["binary_data"].bool_param = True
    rest, raw = split_request(request.SerializeToString())
    request.ClearField("raw_input_contents")
    assert pb.ModelInferRequest.FromString(rest) == request
    assert len(raw) == 1


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",  # a length is missing
        b"\x0a\x05abc",  # three bytes of five
        b"\x80",  # half a number
        b"\x08",  # a number without its value
        b"\x09" + b"x" * 7,  # seven bytes of eight
        b"\x0d" + b"x" * 3,
        b"\x0b\x0c",  # a group
        b"\x0f",  # a type that there is not
        b"\xff" * 11 + b"\x01",  # a number of more than ten bytes
        b"\x0a" + b"\xff" * 9 + b"\x01",  # a length beyond all memory
        b"\x2a\x03\x22\x05a",  # within an input
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(Problem, match="no message of this method") as caught:
        split_request(message)
    assert caught.value.code == "malformed_body"


EMPTY_INPUT = b"\x2a\x00"


@pytest.mark.parametrize(
    "message",
    [
        EMPTY_INPUT * (MAX_TENSOR_VALUES // FIELD_VALUES + 1),
        Input(shape=[0] * MAX_TENSOR_VALUES).SerializeToString(),
        Input(
            contents=pb.InferTensorContents(uint_contents=[0] * MAX_TENSOR_VALUES)
        ).SerializeToString(),
        Input(
            contents=pb.InferTensorContents(
                bytes_contents=[b""] * (MAX_TENSOR_VALUES // FIELD_VALUES)
            )
        ).SerializeToString(),
    ],
    ids=["inputs", "sides", "numbers", "elements"],
)
def test_what_grows_when_it_is_read_is_refused_before(message: bytes) -> None:
    if not message.startswith(EMPTY_INPUT):
        message = b"\x2a" + varint(len(message)) + message
    with pytest.raises(Problem, match="raw_input_contents") as caught:
        split_request(message)
    assert caught.value.code == "body_too_large"


def test_large_raw_tensors_and_large_texts_are_as_many_values_as_small_ones() -> None:
    request = infer_request(bytes(3 * MAX_TENSOR_VALUES), id="x" * MAX_TENSOR_VALUES)
    assert len(split_request(request.SerializeToString())[1]) == 1
