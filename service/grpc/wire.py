"""A request for inference before protobuf reads it.

Its raw tensors are taken out as views, for protobuf would copy them twice. The rest is counted: an
empty tensor takes two bytes of a message, and a hundred once it is read.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from service.http.v2.body import MAX_TENSOR_VALUES
from service.problems import Problem

FIELD_VALUES = 200  # that a field counts as, so that there are ten thousand of them at most
RAW_INPUT_CONTENTS = 7
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FIXED = {FIXED64: 8, FIXED32: 4}


class Kind(NamedTuple):
    """A kind of message: the fields that hold messages, of which kind, and those that hold packed
    numbers, by the numbers of open_inference.proto."""

    messages: Mapping[int, "Kind"]
    packed: frozenset[int] = frozenset()


class Field(NamedTuple):
    """``begin`` and ``end`` are those of its content, ``start`` is where its number is."""

    number: int
    type: int
    start: int
    begin: int
    end: int


_ENTRY = Kind({2: Kind({})})
_CONTENTS = Kind({}, frozenset(range(1, 8)))
_INPUT = Kind({4: _ENTRY, 5: _CONTENTS}, frozenset({3}))
_OUTPUT = Kind({2: _ENTRY})
REQUEST = Kind({4: _ENTRY, 5: _INPUT, 6: _OUTPUT})


def split_request(message: bytes) -> tuple[bytes, list[memoryview]]:
    """``message``, a ModelInferRequest, without its raw tensors, and these.

    Raises Problem if it is cut short, or holds too many values beside them.
    """
    view, raw, rest = memoryview(message), [], []
    start = values = 0
    for field in _fields(view, 0, len(view)):
        if field.number == RAW_INPUT_CONTENTS and field.type == LENGTH:
            raw.append(view[field.begin : field.end])
            rest.append(view[start : field.start])
            start = field.end
        values = _count(view, REQUEST, field, values)
    rest.append(view[start:])
    return b"".join(rest), raw


def _count(view: memoryview, kind: Kind, field: Field, values: int) -> int:
    """``values`` and those of ``field``; raises Problem if they are too many."""
    values += FIELD_VALUES
    if field.type == LENGTH and field.number in kind.packed:
        values += field.end - field.begin
    if values > MAX_TENSOR_VALUES:
        raise Problem(
            "body_too_large",
            f"The message holds more than {MAX_TENSOR_VALUES} values; send tensors in"
            " raw_input_contents.",
        )
    if field.type == LENGTH and (inner := kind.messages.get(field.number)) is not None:
        for one in _fields(view, field.begin, field.end):
            values = _count(view, inner, one, values)
    return values


def _fields(view: memoryview, start: int, end: int) -> Iterator[Field]:
    """Those of the message in ``view`` from ``start`` to ``end``."""
    while start < end:
        tag, begin = _varint(view, start, end)
        kind = tag & 7
        if kind == LENGTH:
            length, begin = _varint(view, begin, end)
            stop = begin + length
        elif kind == VARINT:
            stop = _varint(view, begin, end)[1]
        elif kind in FIXED:
            stop = begin + FIXED[kind]
        else:
            raise _malformed()
        if stop > end:
            raise _malformed()
        yield Field(tag >> 3, kind, start, begin, stop)
        start = stop


def _varint(view: memoryview, start: int, end: int) -> tuple[int, int]:
    """The number that begins at ``start``, and where it ends."""
    value = shift = 0
    for at in range(start, min(end, start + 10)):
        byte = view[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise _malformed()


def _malformed() -> Problem:
    return Problem("malformed_body", "The message cannot be read: it is no message of this method.")
