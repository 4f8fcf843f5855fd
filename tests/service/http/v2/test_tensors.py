"""Tensors to and from JSON and bytes."""

import asyncio
import base64
import struct
from typing import Any

import numpy as np
import pytest

from service.http.v2.tensors import InputTensor, OutputTensor
from service.problems import Problem


def tensor(datatype: str, shape: tuple[int, ...], content: bytes | list[Any]) -> InputTensor:
    if isinstance(content, bytes):
        return InputTensor("t", datatype, shape, memoryview(content))
    return InputTensor("t", datatype, shape, content)


@pytest.mark.parametrize(
    ("datatype", "shape", "content", "values"),
    [
        ("UINT8", (2, 3), bytes(range(6)), [[0, 1, 2], [3, 4, 5]]),
        ("INT64", (2,), b"\x01" + bytes(7) + b"\xff" * 8, [1, -1]),
        ("FP32", (1,), struct.pack("<f", 0.25), [0.25]),
        ("BOOL", (2,), b"\x00\x01", [False, True]),
        ("FP32", (), struct.pack("<f", 0.5), 0.5),
        ("UINT8", (2, 3), [0, 1, 2, 3, 4, 255], [[0, 1, 2], [3, 4, 255]]),
        ("UINT8", (2, 3), [[0, 1, 2], [3, 4, 5]], [[0, 1, 2], [3, 4, 5]]),
        ("UINT8", (2, 1, 1), [[[7]], [[8]]], [[[7]], [[8]]]),
        ("INT64", (1,), [-(2**63)], [-(2**63)]),
        ("FP32", (3,), [1, 0.5, 1e300], [1, 0.5, np.inf]),
        ("BOOL", (1,), [True], [True]),
    ],
)
def test_numbers(datatype: str, shape: tuple[int, ...], content: Any, values: Any) -> None:
    array = tensor(datatype, shape, content).to_array()
    assert array.shape == shape
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize(
    ("datatype", "shape", "content", "words"),
    [
        ("UINT8", (2, 3), bytes(5), "5 bytes were sent.* has 6"),
        ("UINT8", (2, 3), bytes(7), "7 bytes were sent"),
        ("INT64", (1,), bytes(4), "has 8"),
        ("UINT8", (2**40, 2**40), bytes(4), str(2**80)),
        ("UINT8", (3,), [1, 2], "2 values were sent"),
        ("UINT8", (2, 2), [[1, 2], [3]], "nested"),
        ("UINT8", (2, 2), [[1, 2], 3], "nested"),
        ("UINT8", (2, 2), [[1, 2, 3, 4]], "nested"),
        ("UINT8", (2, 2), [[1, 2]], "2 values were sent"),
        ("UINT8", (4,), [[1, 2], [3, 4]], "2 values were sent"),
        ("UINT8", (2,), [[1], [2]], "not every value is UINT8"),
        ("UINT8", (1,), [], "0 values were sent"),
        ("UINT8", (1,), [256], "range"),
        ("UINT8", (1,), [-1], "range"),
        ("INT64", (1,), [2**63], "range"),
        ("UINT8", (1,), [1.5], "not every value is UINT8"),
        ("UINT8", (1,), ["1"], "not every value is UINT8"),
        ("UINT8", (1,), [True], "not every value is UINT8"),
        ("UINT8", (1,), [None], "not every value is UINT8"),
        ("BOOL", (1,), [1], "not every value is BOOL"),
        ("FP32", (1,), ["0.5"], "not every value is FP32"),
        ("FP32", (1,), [{}], "not every value is FP32"),
    ],
)
def test_numbers_that_are_wrong(
    datatype: str, shape: tuple[int, ...], content: Any, words: str
) -> None:
    with pytest.raises(Problem, match=f"^t: .*{words}") as caught:
        tensor(datatype, shape, content).to_array()
    assert caught.value.code == "malformed_body"


def test_text_among_numbers_is_refused_before_it_takes_memory() -> None:
    """As an array of text each value would be as wide as the longest: 10 TB."""
    values = ["x" * 10_000_000, *range(249_999)]
    with pytest.raises(Problem, match="not every value"):
        tensor("UINT8", (250_000,), values).to_array()


def test_bytes() -> None:
    content = b"\x03\x00\x00\x00abc" + b"\x00\x00\x00\x00" + b"\x01\x00\x00\x00\xff"
    assert asyncio.run(tensor("BYTES", (3,), content).to_items()) == [b"abc", b"", b"\xff"]
    text = [base64.b64encode(item).decode() for item in (b"abc", b"", b"\xff")]
    assert asyncio.run(tensor("BYTES", (3,), text).to_items()) == [b"abc", b"", b"\xff"]


@pytest.mark.parametrize(
    ("shape", "content", "words"),
    [
        ((1,), b"", "its 0 bytes hold 0 of 1 values"),
        ((1,), b"\x01\x00\x00", "its 3 bytes hold 0 of 1 values"),
        ((1,), b"\x04\x00\x00\x00abc", "value 0 is longer"),
        ((1,), b"\xff\xff\xff\xffabc", "value 0 is longer"),
        ((2,), b"\x03\x00\x00\x00abc", "hold 1 of 2"),
        ((1,), b"\x03\x00\x00\x00abcd", "1 bytes follow its 1 values"),
        ((2**62,), b"\x00\x00\x00\x00", "hold 1 of"),
        ((1,), ["a"], "base64"),
        ((1,), ["é"], "base64"),
        ((1,), ["YWJ*"], "base64"),
        ((1,), [7], "not every value is base64 text"),
        ((1,), [["YWJj"]], "not every value is base64 text"),
        ((2,), ["YWJj"], "1 values were sent"),
    ],
)
def test_bytes_that_are_wrong(shape: tuple[int, ...], content: Any, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        asyncio.run(tensor("BYTES", shape, content).to_items())
    assert caught.value.code == "malformed_body"


def test_output() -> None:
    numbers = OutputTensor("n", "INT64", np.array([[1], [-1]], dtype=np.int32))
    assert numbers.shape == (2, 1)
    assert numbers.to_bytes() == struct.pack("<2q", 1, -1)
    assert numbers.to_json().tolist() == [1, -1]
    words = OutputTensor("w", "BYTES", np.array([["cat", ""], ["Bär", "x"]], dtype=object))
    assert words.to_json() == ["cat", "", "Bär", "x"]
    as_input = tensor("BYTES", (2, 2), words.to_bytes())
    assert asyncio.run(as_input.to_items()) == [b"cat", b"", "Bär".encode(), b"x"]
