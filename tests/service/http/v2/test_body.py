"""Taking a request's body apart."""

import json
from codecs import BOM_UTF8
from typing import Any

import pytest

from service.http.v2.body import (
    MAX_TENSOR_VALUES,
    ChangePart,
    IndexPart,
    read_infer_body,
    read_json,
)
from service.problems import Problem

IMAGE = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["YWJj"]}


def body_of(*inputs: dict, binary: bytes = b"", **members: Any) -> tuple[bytes, str]:
    text = json.dumps({"inputs": inputs, **members}).encode()
    return text + binary, str(len(text))


def test_all_that_a_request_may_have() -> None:
    raw = {"name": "images", "datatype": "UINT8", "shape": [1, 2]}
    body, length = body_of(
        {**raw, "parameters": {"binary_data_size": 2}},
        {**IMAGE, "parameters": {"content_type": "base64"}},
        {"name": "x", "datatype": "FP32", "shape": [], "parameters": {"binary_data_size": 1}},
        binary=b"abc",
        id="7",
        model_name="m",
        parameters={"binary_data_output": True, "top_k": 3},
        outputs=[{"name": "boxes", "parameters": {"binary_data": False}}, {"name": "labels"}],
    )
    request = read_infer_body(body, length)
    assert request.id == "7"
    assert request.parameters == {"top_k": 3}
    assert request.outputs == {"boxes": False, "labels": True}
    assert request.binary
    first, second, third = request.inputs.values()
    assert (first.name, first.datatype, first.shape) == ("images", "UINT8", (1, 2))
    assert (bytes(first.content), second.content, bytes(third.content)) == (b"ab", ["YWJj"], b"c")


def test_without_the_header_all_is_json() -> None:
    request = read_infer_body(body_of(IMAGE)[0], None)
    assert list(request.inputs) == ["image"]
    assert (request.id, request.outputs, request.binary) == ("", {}, False)


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    assert list(read_infer_body(BOM_UTF8 + body_of(IMAGE)[0], None).inputs) == ["image"]


def test_members_that_are_null_are_absent() -> None:
    """Python's types of the protocol write all that they have."""
    nothing = {"parameters": None, "outputs": None, "id": None, "model_name": None}
    body, _ = body_of({**IMAGE, "parameters": None}, **nothing)
    request = read_infer_body(body, None)
    assert (request.id, request.parameters, request.outputs) == ("", {}, {})
    parameters = {"binary_data_output": None, "score_threshold": None, "top_k": 3}
    inner = {"binary_data_size": None, "content_type": None}
    wanted = [{"name": "boxes", "parameters": {"binary_data": None}}]
    body, _ = body_of({**IMAGE, "parameters": inner}, parameters=parameters, outputs=wanted)
    request = read_infer_body(body, None)
    assert (request.parameters, request.outputs) == ({"top_k": 3}, {"boxes": False})
    assert read_json(IndexPart, b'{"ready": null}') == IndexPart()
    assert read_json(ChangePart, b'{"parameters": null}') == ChangePart()


def test_content_types_are_those_of_mlservers_codecs() -> None:
    numbers = {"name": "images", "datatype": "UINT8", "shape": [1], "data": [7]}
    body, _ = body_of(
        {**numbers, "parameters": {"content_type": "np"}},
        {**IMAGE, "parameters": {"content_type": "base64"}},
        parameters={"content_type": "np"},
    )
    request = read_infer_body(body, None)
    assert list(request.inputs) == ["images", "image"]
    assert request.parameters == {}
    for codec in ("base64", "str", "np"):  # Base64Codec, StringCodec, NumpyCodec of text
        body, _ = body_of({**IMAGE, "parameters": {"content_type": codec}})
        assert read_infer_body(body, None).inputs == {"image": request.inputs["image"]}
    with pytest.raises(Problem, match="of UINT8 it is np, not base64"):
        read_infer_body(body_of({**numbers, "parameters": {"content_type": "base64"}})[0], None)


def test_a_body_that_is_cut_short_is_malformed_wherever_it_is_cut() -> None:
    raw = {"name": "images", "datatype": "UINT8", "shape": [3]}
    body, length = body_of({**raw, "parameters": {"binary_data_size": 3}}, binary=b"abc")
    for size in range(len(body)):
        with pytest.raises(Problem) as caught:
            read_infer_body(body[:size], length)
        assert caught.value.code == "malformed_body"
    text, _ = body_of(IMAGE)
    for size in range(len(text)):
        with pytest.raises(Problem) as caught:
            read_infer_body(text[:size], None)
        assert caught.value.code == "malformed_body"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The JSON body cannot be read"),
        (b"{", "The JSON body cannot be read"),
        (b"\xff\xfe", "The JSON body cannot be read"),
        (b"[" * 100_000, "The JSON body cannot be read"),
        (b'{"inputs": [NaN]}', "The JSON body cannot be read"),
        (b"[]", "The JSON: Input should be"),
        (b"7", "The JSON: Input should be"),
        (b"{}", "inputs: Field required"),
        (b'{"inputs": 7}', "inputs: "),
        (b'{"inputs": [7]}', r"inputs\.0: "),
        (b'{"inputs": [], "output": []}', "output: Extra inputs are not permitted"),
        (b'{"inputs": [], "parameters": []}', "parameters: "),
        (b'{"inputs": [], "id": 7}', "id: "),
        (b'{"inputs": [], "parameters": {"binary_data_output": 1}}', "binary_data_output"),
        (b'{"inputs": [], "outputs": [{"name": "a"}, {"name": "a"}]}', "a is asked for twice"),
        (
            b'{"inputs": [], "outputs": [{"name": "a", "parameters": {"x": 1}}]}',
            r"outputs\.0\.parameters\.x: ",
        ),
        (
            b'{"inputs": [], "outputs": [{"name": "a", "parameters": {"binary_data": 1}}]}',
            "boolean",
        ),
    ],
)
def test_json_that_is_wrong(body: bytes, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        read_infer_body(body, None)
    assert caught.value.code == "malformed_body"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [-1]}, r"inputs\.0\.shape\.0: "),
        ({"shape": [2**63]}, r"inputs\.0\.shape\.0: "),
        ({"shape": [1.5]}, r"inputs\.0\.shape\.0: "),
        ({"shape": [True]}, r"inputs\.0\.shape\.0: "),
        ({"shape": "1"}, r"inputs\.0\.shape: "),
        ({"shape": [1] * 9}, r"inputs\.0\.shape: "),
        ({"name": None}, r"inputs\.0\.name: "),
        ({"datatype": 7}, r"inputs\.0\.datatype: "),
        ({"dtype": "BYTES"}, r"inputs\.0\.dtype: "),
        ({"data": "YWJj"}, "image: data must be a list"),
        ({"data": None}, "image: data must be a list"),
        ({"data": {}}, "image: data must be a list"),
        ({"parameters": {"shared_memory_region": "x"}}, "shared_memory_region: Extra"),
        ({"parameters": {"content_type": "pd"}}, "content_type: "),
        ({"parameters": {"binary_data_size": 1}}, "both data and binary_data_size"),
        ({"data": None, "parameters": {"binary_data_size": -1}}, "binary_data_size: Input"),
        ({"data": None, "parameters": {"binary_data_size": True}}, "binary_data_size: Input"),
        ({"data": None, "parameters": {"binary_data_size": "3"}}, "binary_data_size: Input"),
        ({"data": None, "parameters": {"binary_data_size": 4}}, "is 4, and 3 bytes are left"),
        ({"data": None, "parameters": {"binary_data_size": 2**70}}, "3 bytes are left|integer"),
        ({"data": None, "parameters": {"binary_data_size": 2}}, "1 bytes follow the tensors"),
    ],
)
def test_input_that_is_wrong(change: dict, words: str) -> None:
    body, length = body_of({**IMAGE, **change}, binary=b"abc")
    with pytest.raises(Problem, match=words) as caught:
        read_infer_body(body, length)
    assert caught.value.code == "malformed_body"


@pytest.mark.parametrize(
    "length", ["-1", "", "x", "1e3", " 7", "+7", "9" * 5000, "0" * 5000, "100000", "²"]
)
def test_header_length_that_is_wrong(length: str) -> None:
    with pytest.raises(Problem, match="Inference-Header-Content-Length: ") as caught:
        read_infer_body(body_of(IMAGE)[0], length)
    assert caught.value.code == "malformed_body"
    assert len(caught.value.detail) < 150


def test_header_length_that_cuts_the_json() -> None:
    body, length = body_of(IMAGE)
    for wrong in ("0", str(int(length) - 1)):
        with pytest.raises(Problem, match="The JSON body cannot be read"):
            read_infer_body(body, wrong)


def test_same_input_twice() -> None:
    with pytest.raises(Problem, match="image is given twice"):
        read_infer_body(body_of(IMAGE, IMAGE)[0], None)


@pytest.mark.parametrize("filler", [b"0,", b"[],"])
def test_json_of_too_many_values(filler: bytes) -> None:
    body = b'{"inputs": [' + filler * MAX_TENSOR_VALUES + b"0]}"
    with pytest.raises(Problem, match="binary data") as caught:
        read_infer_body(body, None)
    assert caught.value.code == "body_too_large"


def test_binary_data_may_hold_as_many_commas_as_it_likes() -> None:
    size = MAX_TENSOR_VALUES + 10
    part = {"name": "images", "datatype": "UINT8", "shape": [size]}
    body, length = body_of({**part, "parameters": {"binary_data_size": size}}, binary=b"," * size)
    assert len(read_infer_body(body, length).inputs["images"].content) == size
