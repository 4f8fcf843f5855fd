"""Tensors as the protocol writes them: a datatype, a shape, and content as JSON or as bytes.

Bytes are little-endian and row by row; an element of BYTES is its length in four bytes, and then
itself (Triton's binary tensor data extension). JSON has no bytes: there an element of BYTES that a
request sends is base64 text.
"""

import math
import struct
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from service.http.body import decode_base64
from service.problems import Problem

Array = npt.NDArray[Any]

BYTES = "BYTES"
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
}
# What a value in JSON may be, of each datatype. NumPy would take 1.7 for 1, and text for numbers.
JSON_TYPES: dict[str, set[type]] = {
    "BOOL": {bool},
    "UINT8": {int},
    "INT64": {int},
    "FP32": {int, float},
}
LENGTH = struct.Struct("<I")
# What was sent of a tensor: bytes that followed the JSON, or its member ``data``; over gRPC raw
# bytes, or the values of its ``contents``, of BYTES as they are.
TensorContent = memoryview | list[Any]


@dataclass(frozen=True)
class InputTensor:
    name: str
    datatype: str
    shape: tuple[int, ...]
    content: TensorContent

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def to_array(self) -> Array:
        """The numbers, in the tensor's shape; raises Problem if the content is not that."""
        dtype = DTYPES[self.datatype]
        if isinstance(self.content, memoryview):
            stated = self.size * dtype.itemsize
            if len(self.content) != stated:
                raise self.fault(
                    f"{len(self.content)} bytes were sent; {list(self.shape)} of {self.datatype}"
                    f" has {stated}"
                )
            return np.frombuffer(self.content, dtype).reshape(self.shape)
        values = self._flat(self.content)
        if not set(map(type, values)) <= JSON_TYPES[self.datatype]:
            raise self.fault(f"not every value is {self.datatype}")
        try:
            with np.errstate(over="ignore"):  # too much for 32 bits is infinite
                return np.array(values, dtype).reshape(self.shape)
        except OverflowError:
            raise self.fault(f"a value is out of {self.datatype}'s range") from None

    async def to_items(self) -> list[bytes]:
        """The elements of a tensor of BYTES; raises Problem if the content is not that."""
        if isinstance(self.content, memoryview):
            return self._unpack(self.content)
        values = self._flat(self.content)
        kinds = set(map(type, values))
        if kinds == {bytes}:
            return values
        if not kinds <= {str}:
            raise self.fault("not every value is base64 text")
        try:
            return [await decode_base64(text) for text in values]
        except ValueError as error:
            raise self.fault(f"a value is not base64 text: {error}") from None

    def fault(self, what: str) -> Problem:
        return Problem("malformed_body", f"{self.name}: {what}.")

    def _flat(self, values: list[Any]) -> list[Any]:
        """``values``, which may be nested as the shape says, as one list."""
        if values and isinstance(values[0], list):
            for inner in self.shape[1:]:
                if not all(isinstance(part, list) and len(part) == inner for part in values):
                    raise self.fault(f"its lists are not nested as {list(self.shape)} says")
                values = list(chain.from_iterable(values))
        if len(values) != self.size:
            raise self.fault(f"{len(values)} values were sent; {list(self.shape)} has {self.size}")
        return values

    def _unpack(self, content: memoryview) -> list[bytes]:
        items: list[bytes] = []
        end = 0
        while len(items) < self.size:
            start = end + LENGTH.size
            if start > len(content):
                raise self.fault(
                    f"its {len(content)} bytes hold {len(items)} of {self.size} values"
                )
            end = start + LENGTH.unpack_from(content, end)[0]
            if end > len(content):
                raise self.fault(f"value {len(items)} is longer than the bytes that were sent")
            items.append(bytes(content[start:end]))
        if end != len(content):
            raise self.fault(f"{len(content) - end} bytes follow its {self.size} values")
        return items


@dataclass(frozen=True)
class OutputTensor:
    """``values`` are text, in an array of objects, if ``datatype`` is BYTES."""

    name: str
    datatype: str
    values: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def to_bytes(self) -> bytes:
        if self.datatype != BYTES:
            return self.values.astype(DTYPES[self.datatype], copy=False).tobytes()
        items = [text.encode() for text in self.values.flat]
        return b"".join(LENGTH.pack(len(item)) + item for item in items)

    def to_json(self) -> Any:
        """All values in one list, or an array that orjson writes as one."""
        if self.datatype == BYTES:
            return list(self.values.flat)
        return np.ascontiguousarray(self.values, DTYPES[self.datatype]).reshape(-1)
