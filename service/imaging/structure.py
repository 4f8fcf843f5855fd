"""How many parts a file is made of, before any of them is decoded.

A file of some hundred kilobytes can ask for the work of thousands: each scan of a JPEG goes over
all pixels again, and each chunk, segment or strip costs Pillow some microseconds and a kilobyte.
Cameras and programs write a few dozen scans at most, and parts of some kilobytes each.
"""

import re
import struct
from collections.abc import Iterator
from itertools import islice

from service.problems import Problem

MAX_SCANS = 100  # of a JPEG; a progressive one usually has ten
MAX_PARTS = 50_000  # chunks of a PNG, segments of a JPEG, entries and their values of a TIFF

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF_SIGNATURES = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}  # byte orders
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in coded data: neither stuffing nor a restart
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# Of a TIFF's values those that Pillow makes objects of: not bytes and text.
NUMBERS = frozenset({3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18})


def check_structure(content: bytes) -> None:
    """Raise Problem if ``content``, a file in any format, has more parts than images have."""
    if content.startswith(PNG_SIGNATURE):
        _check("chunks", sum(1 for _ in islice(_png_chunks(content), MAX_PARTS + 1)), MAX_PARTS)
    elif content.startswith(JPEG_SIGNATURE):
        markers = list(islice(_jpeg_markers(content), MAX_PARTS + 1))
        _check("segments", len(markers), MAX_PARTS)
        _check("scans", markers.count(START_OF_SCAN), MAX_SCANS)
    elif content[:4] in TIFF_SIGNATURES:
        _check("tags' values", _tiff_values(content), MAX_PARTS)


def _check(what: str, count: int, most: int) -> None:
    if count > most:
        raise Problem(
            "image_too_large", f"The image has more than {most} {what}; save it in a simpler form."
        )


def _png_chunks(content: bytes) -> Iterator[int]:
    """Where each begins."""
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        yield start
        start += 12 + int.from_bytes(content[start : start + 4])


def _jpeg_markers(content: bytes) -> Iterator[int]:
    """Those of all segments; of scans that have all components, which are decoded once and to
    their end, only the first."""
    start, components = 2, 0
    while (found := MARKER.search(content, start)) is not None:
        marker, start = content[found.start() + 1], found.end()
        if marker == END_OF_IMAGE:
            return
        yield marker
        length = int.from_bytes(content[start : start + 2])
        body = content[start + 2 : start + 8]
        if marker in (0xC0, 0xC1) and len(body) == 6:  # sequential, not progressive
            components = body[5]
        if marker == START_OF_SCAN and body[:1] == bytes([components]):
            return
        start += length


def _tiff_values(content: bytes) -> int:
    """Entries of the first directory, and the numbers that they state to have."""
    order, is_big = TIFF_SIGNATURES[content[:4]], content[2:3] == b"+" or content[3:4] == b"+"
    offset, head = (8, "Q") if is_big else (4, "L")
    entry = struct.Struct(order + ("HHQ8x" if is_big else "HHL4x"))
    try:
        (start,) = struct.unpack_from(order + head, content, offset)
        (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), content, start)
    except struct.error:
        return 0  # cut short, which Pillow says better
    start += 8 if is_big else 2
    end = min(start + min(count, MAX_PARTS) * entry.size, len(content))
    whole = content[start : end - (end - start) % entry.size] if end > start else b""
    numbers = sum(many for _, kind, many in entry.iter_unpack(whole) if kind in NUMBERS)
    return int(count + numbers)
