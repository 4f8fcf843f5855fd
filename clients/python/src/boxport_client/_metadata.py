"""What a PNG or JPEG holds beside its pixels.

Pillow reads all of it, and refuses a picture for a part that is damaged, or a text or a colour
profile that is large. Browsers and the service pass over such a part, and so does what is here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4s")  # length of the data, and kind
COLOUR_TYPE = 25  # where the first chunk states the colour type
TRANSPARENT_BYTES = {0: (2,), 2: (6,), 3: range(1, 257)}  # of tRNS, by colour type
ORIENTED = b"XML:com.adobe.xmp\0\0"  # keyword of a text that is not compressed
MAX_TEXT = 1024 * 1024  # bytes, as Pillow has it

JPEG_SIGNATURE = b"\xff\xd8\xff"
APP0, APP1, APP14, APP15, START_OF_SCAN = 0xE0, 0xE1, 0xEE, 0xEF, 0xDA
LEAST_SEGMENT = {APP0: 14, APP14: 12}  # bytes of what libjpeg reads: JFIF's data, and Adobe's

Part = tuple[int, int, bool]  # where it starts and ends in the file, and whether it is needed


def without_metadata(content: bytes) -> bytes:
    """The file ``content``; of a PNG or JPEG only what its pixels, their transparency and their
    orientation need, as far as that is sound."""
    if content.startswith(PNG_SIGNATURE):
        parts = _chunks(content)
    elif content.startswith(JPEG_SIGNATURE):
        parts = _segments(content)
    else:
        return content
    kept, kept_to = [], 0
    for start, end, needed in parts:
        if not needed:
            kept.append(content[kept_to:start])
            kept_to = end
    return b"".join((*kept, content[kept_to:])) if kept else content


def _segments(content: bytes) -> Iterator[Part]:
    """Those of a JPEG before its pixels, up to the first that is cut or no segment."""
    start = 2
    while content[start : start + 1] == b"\xff" and start + 4 <= len(content):
        marker = content[start + 1]
        length = int.from_bytes(content[start + 2 : start + 4], "big")
        end = start + 2 + length
        if marker in (START_OF_SCAN, 0xFF) or end > len(content) or length < 2:
            return
        is_extra = APP0 <= marker <= APP15 and marker != APP1  # EXIF or XMP
        yield start, end, not is_extra or length - 2 >= LEAST_SEGMENT.get(marker, length)
        start = end


def _chunks(content: bytes) -> Iterator[Part]:
    """Those of a PNG; one that is cut ends with the file."""
    start = len(PNG_SIGNATURE)
    while start + HEAD.size <= len(content):
        length, kind = HEAD.unpack_from(content, start)
        end = start + HEAD.size + length + 4
        is_extra = kind[:1].islower()
        is_needed = end <= len(content) and _is_needed(content, start, end)
        yield start, min(end, len(content)), not is_extra or is_needed
        start = end


def _is_needed(content: bytes, start: int, end: int) -> bool:
    kind, data = content[start + 4 : start + 8], content[start + HEAD.size : end - 4]
    if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(content[end - 4 : end], "big"):
        return False
    if kind == b"tRNS":
        return len(data) in TRANSPARENT_BYTES.get(content[COLOUR_TYPE], ())
    is_orientation = kind == b"iTXt" and data.startswith(ORIENTED) and len(data) <= MAX_TEXT
    return kind == b"eXIf" or is_orientation
