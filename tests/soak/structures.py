"""Mutants of image files that keep their format's structure: its parts are changed, moved, repeated
and exchanged, and lengths and checksums made to fit again, so that decoders get past their first
checks."""

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.soak.mutants import MUTATIONS

CODED = 0.4  # share of changes of a PNG's pixels that are made before they are deflated
WHOLE = 0.1  # share of mutants that are not of whole parts
LONGEST = 60_000  # bytes of a mutant

Parts = list[bytes]
PNG_HEAD = 8
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within a scan: what ends it


@dataclass(frozen=True)
class Structure:
    """How a format's files are taken apart, and put together again."""

    split: Callable[[bytes], Parts]
    join: Callable[[Sequence[bytes]], bytes]


def structured_mutants(files: Sequence[bytes], image_format: str, seed: int) -> Iterator[bytes]:
    """Endless; each depends on its number and ``seed`` alone. ``files`` are all of one format."""
    structure = STRUCTURES[image_format]
    taken_apart = [structure.split(file) for file in files]
    number = 0
    while True:
        chooser = random.Random(f"{image_format}/{seed}/{number}")
        parts = list(chooser.choice(taken_apart))
        for _ in range(chooser.choice((1, 1, 1, 2, 3, 8))):
            _change(parts, chooser, taken_apart)
        mutant = structure.join(parts)
        if chooser.random() < WHOLE:
            mutant = chooser.choice(MUTATIONS)(mutant, chooser, list(files))
        yield mutant[:LONGEST]
        number += 1


def _change(parts: Parts, chooser: random.Random, others: Sequence[Parts]) -> None:
    at = chooser.randrange(len(parts)) if parts else 0
    match chooser.choice(("body", "body", "body", "body", "drop", "repeat", "swap", "insert")):
        case "body" if parts:
            parts[at] = _changed_body(parts[at], chooser, parts)
        case "drop" if parts:
            del parts[at]
        case "repeat" if parts:
            parts[at:at] = [parts[at]] * chooser.choice((1, 2, 30))
        case "swap" if parts:
            other = chooser.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        case _:
            parts.insert(at, chooser.choice(chooser.choice(others)))


def _changed_body(body: bytes, chooser: random.Random, parts: Parts) -> bytes:
    mutation = chooser.choice(MUTATIONS)
    if body[:4] == b"IDAT" and chooser.random() < CODED:
        try:
            pixels = zlib.decompress(body[4:])
        except zlib.error:
            return mutation(body, chooser, parts)
        return b"IDAT" + zlib.compress(mutation(pixels, chooser, parts), 1)
    return mutation(body, chooser, parts)


def _split_png(content: bytes) -> Parts:
    """Kind and data of each chunk."""
    parts, start = [], PNG_HEAD
    while start + 8 <= len(content):
        length = int.from_bytes(content[start : start + 4])
        parts.append(content[start + 4 : start + 8 + length])
        start += 12 + length
    return parts


def _join_png(parts: Sequence[bytes]) -> bytes:
    chunks = [
        struct.pack(">I", max(0, len(part) - 4)) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _split_jpeg(content: bytes) -> Parts:
    """Each marker with what follows it: the segment, and of a scan its data."""
    parts, start = [content[:2]], 2
    while start + 4 <= len(content):
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4])
        if content[start + 1] == 0xDA:
            found = MARKER.search(content, end)
            end = found.start() if found else len(content)
        parts.append(content[start:end])
        start = end
    return [*parts, content[start:]]


def _join_jpeg(parts: Sequence[bytes]) -> bytes:
    """With lengths that fit but for scans, whose data has none."""
    fitted = []
    for part in parts:
        if len(part) >= 4 and part[1] not in (0xD8, 0xD9, 0xDA):
            part = part[:2] + struct.pack(">H", min(len(part) - 2, 65535)) + part[4:]
        fitted.append(part)
    return b"".join(fitted)


def _split_riff(content: bytes) -> Parts:
    """Kind and data of each chunk of a WebP."""
    parts, start = [], 12
    while start + 8 <= len(content):
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        parts.append(content[start : start + 4] + content[start + 8 : start + 8 + length])
        start += 8 + length + length % 2
    return parts


def _join_riff(parts: Sequence[bytes]) -> bytes:
    chunks = [
        part[:4] + struct.pack("<I", max(0, len(part) - 4)) + part[4:] + b"\0" * (len(part) % 2)
        for part in parts
    ]
    inner = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def _split_boxes(content: bytes) -> Parts:
    """Kind and data of each box of an AVIF, those in meta and iprp too far down to be parts."""
    parts, start = [], 0
    while start + 8 <= len(content):
        length = max(8, int.from_bytes(content[start : start + 4]))
        parts.append(content[start + 4 : start + length])
        start += length
    return parts


def _join_boxes(parts: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(part) + 4) + part for part in parts)


def _split_tiff(content: bytes) -> Parts:
    """The head, each entry of the first directory, and all else, in the order of the file."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "L", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    edges = [0, 4, 8, start, *(start + 2 + 12 * i for i in range(count + 1)), len(content)]
    return [content[a:b] for a, b in pairwise(edges) if a < b]


def _split_evenly(content: bytes) -> Parts:
    """A GIF's or BMP's head by its fields, and the rest in pieces."""
    edges = [*range(0, 64, 2), *range(64, len(content), 256), len(content)]
    return [content[a:b] for a, b in pairwise(edges) if a < b]


STRUCTURES = {
    "PNG": Structure(_split_png, _join_png),
    "JPEG": Structure(_split_jpeg, _join_jpeg),
    "WEBP": Structure(_split_riff, _join_riff),
    "AVIF": Structure(_split_boxes, _join_boxes),
    "TIFF": Structure(_split_tiff, b"".join),
    "GIF": Structure(_split_evenly, b"".join),
    "BMP": Structure(_split_evenly, b"".join),
}
