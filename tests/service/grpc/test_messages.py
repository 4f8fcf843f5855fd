"""Messages are read with the checks, and written with the rows, of V2 over HTTP."""

import asyncio
import struct
from typing import Any

import numpy as np
import pytest

from service.engine.answer import Answer
from service.engine.pipelines import Times
from service.grpc import open_inference_pb2 as pb
from service.grpc.messages import infer_response, model_named, parse, read_infer, to_message
from service.http.v2.body import InferBody
from service.http.v2.inference_request import to_inference_request
from service.http.v2.metadata import configure, describe
from service.manifest import ModelManifest
from service.problems import Problem
from tests.service.grpc.servers import infer_request

Input = pb.ModelInferRequest.InferInputTensor


def read(request: pb.ModelInferRequest) -> InferBody:
    return read_infer(request.SerializeToString())[1]


def typed(name: str, datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest:
    tensor = Input(name=name, datatype=datatype, shape=shape)
    tensor.contents.MergeFrom(pb.InferTensorContents(**contents))
    return pb.ModelInferRequest(inputs=[tensor])


def test_the_model_and_all_that_is_asked_of_it() -> None:
    request = infer_request(b"photo", model_version="3", id="a7")
    request.parameters["labels"].string_param = "cat"
    request.parameters["top_k"].int64_param = 3
    request.parameters["score_threshold"].double_param = 0.25
    request.parameters["class_agnostic"].bool_param = True
    request.parameters["timeout"].uint64_param = 5
    request.outputs.add(name="scores")
    named, body = read_infer(request.SerializeToString())
    assert named == {"name": "pets", "version": "3"}
    assert body.id == "a7"
    assert body.parameters == {
        "labels": "cat",
        "top_k": 3,
        "score_threshold": 0.25,
        "class_agnostic": True,
        "timeout": 5,
    }
    assert list(body.outputs) == ["scores"]
    tensor = body.inputs["image"]
    assert (tensor.datatype, tensor.shape) == ("BYTES", (1,))
    assert asyncio.run(tensor.to_items()) == [b"photo"]


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("UINT8", "uint_contents", [0, 255]),
        ("INT64", "int64_contents", [-(2**60), 7]),
        ("FP32", "fp32_contents", [0.5, -2.0]),
    ],
)
def test_numbers_may_be_values_in_place_of_bytes(
    datatype: str, field: str, values: list[Any]
) -> None:
    tensor = read(typed("t", datatype, [1, 2], **{field: values})).inputs["t"]
    assert tensor.to_array().tolist() == [values]


def test_files_are_bytes_as_they_are_and_not_base64() -> None:
    tensor = read(typed("image", "BYTES", [2], bytes_contents=[b"/9j/", b"\xff\0"])).inputs["image"]
    assert asyncio.run(tensor.to_items()) == [b"/9j/", b"\xff\0"]


def with_raw(request: pb.ModelInferRequest, *raw: bytes) -> pb.ModelInferRequest:
    request.raw_input_contents.extend(raw)
    return request


def with_parameter(request: pb.ModelInferRequest, name: str) -> pb.ModelInferRequest:
    request.parameters[name].SetInParent()
    return request


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (typed("t", "FP32", [1], int64_contents=[1]), "FP32 has fp32_contents, not int64_contents"),
        (
            with_raw(typed("t", "FP32", [1], fp32_contents=[1]), b"1234"),
            "has both contents and raw",
        ),
        (with_raw(infer_request(b"x"), b""), "2 raw_input_contents were sent for 1 inputs"),
        (pb.ModelInferRequest(inputs=[Input(name="t"), Input(name="t")]), "t is given twice"),
        (pb.ModelInferRequest(inputs=[Input(name="t", shape=[-1])]), r"inputs\.0\.shape\.0: "),
        (pb.ModelInferRequest(inputs=[Input(name="t", shape=[1] * 9)]), r"inputs\.0\.shape: "),
        (pb.ModelInferRequest(inputs=[Input()] * 17), "inputs: "),
        (pb.ModelInferRequest(id="x" * 1001), "id: "),
        (with_parameter(infer_request(b"x"), "top_k"), "The parameter 'top_k' has no value"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(request_: pb.ModelInferRequest, fault: str) -> None:
    with pytest.raises(Problem, match=fault) as caught:
        read(request_)
    assert caught.value.code == "malformed_body"


@pytest.mark.parametrize("where", ["input", "output"])
def test_shared_memory_is_refused(where: str) -> None:
    request = infer_request(b"photo")
    tensor = request.inputs[0] if where == "input" else request.outputs.add(name="scores")
    tensor.parameters["shared_memory_region"].string_param = "region"
    with pytest.raises(Problem, match="shared_memory_region: Extra inputs"):
        read(request)


def test_a_datatype_that_no_model_has_is_told_by_the_model(manifest: ModelManifest) -> None:
    body = read(typed("images", "FP64", [1], fp64_contents=[1.0]))
    with pytest.raises(Problem, match="its datatype is 'FP64'; it must be UINT8"):
        asyncio.run(to_inference_request(body, manifest, 8, 1000))


def test_the_reply_has_every_output_raw(manifest: ModelManifest) -> None:
    request = infer_request(b"one", b"two", id="a7")
    for name in ("label_names", "scores", "labels"):
        request.outputs.add(name=name)
    asked = asyncio.run(to_inference_request(read(request), manifest, 8, 1000))
    first, second = manifest.labels[:2]

    def result(*labels: Any) -> dict[str, Any]:
        rows = [
            {"label": label.name, "label_id": label.id, "score": 0.5 / (i + 1)}
            for i, label in enumerate(labels)
        ]
        return {"width": 1, "height": 1, "classifications": rows}

    answer = Answer(manifest, [result(first, second), result(second)], [Times(0.0)] * 2, 0.1)
    reply = infer_response(answer, asked)
    assert (reply.model_name, reply.model_version, reply.id) == (
        manifest.name,
        manifest.version,
        "a7",
    )
    assert [(o.name, o.datatype, list(o.shape)) for o in reply.outputs] == [
        ("label_names", "BYTES", [2, 2]),
        ("scores", "FP32", [2, 2]),
        ("labels", "INT64", [2, 2]),
    ]
    names, scores, labels = reply.raw_output_contents
    texts = [first.name, second.name, second.name, ""]
    assert names == b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    assert np.frombuffer(scores, "<f4").tolist() == [0.5, 0.25, 0.5, 0.0]
    assert np.frombuffer(labels, "<i8").tolist() == [0, 1, 1, -1]


def test_metadata_and_configuration_are_those_of_http(manifest: ModelManifest) -> None:
    shown = describe(manifest, ["1"])
    metadata = to_message(pb.ModelMetadataResponse, shown)
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        tuple(row.values()) for row in shown["inputs"]
    ]
    config = to_message(pb.ModelConfig, configure(manifest))
    assert [pb.DataType.Name(t.data_type) for t in config.input] == [
        row["data_type"] for row in configure(manifest)["input"]
    ]
    assert all(tensor.optional for tensor in config.input)


def test_a_version_that_is_not_named_is_none() -> None:
    assert model_named("pets") == {"name": "pets"}
    assert model_named("pets", "2") == {"name": "pets", "version": "2"}


def test_a_message_of_another_method_is_refused() -> None:
    with pytest.raises(Problem, match="no message of this method"):
        parse(pb.ModelReadyRequest, b"\x0a\x02\xff\xff")
