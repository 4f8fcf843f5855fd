"""The parts that a file is made of, before Pillow reads any: how many, and which it may read.

A file of some hundred kilobytes can ask for the work of thousands: each scan of a JPEG goes over
all pixels again, and each chunk, segment or strip costs Pillow some microseconds and a kilobyte.
Cameras and programs write a few dozen scans at most, and parts of some kilobytes each.

Pillow reads all that a PNG or JPEG holds beside its pixels, and refuses a picture for a part that
is damaged, or a text or a colour profile that is large. Browsers, libpng and libjpeg pass over such
a part, and so does what is here. The other formats' metadata do not cost Pillow the picture.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from PIL.PngImagePlugin import MAX_TEXT_CHUNK

from service.problems import Problem

MAX_SCANS = 100  # of a JPEG; a progressive one usually has ten
# Chunks of a PNG, segments of a JPEG, blocks of a GIF, entries and their values of a TIFF.
MAX_PARTS = 50_000

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
GIF_SIGNATURES, GIF_SCREEN = (b"GIF87a", b"GIF89a"), 13  # bytes before the palette
TIFF_SIGNATURES = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}  # byte orders
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in coded data: neither stuffing nor a restart
PROGRESSIVE = (0xC2, 0xCA)  # in Huffman's and in arithmetic code
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
FRAMES = (0xC0, 0xC1)  # sequential, not progressive
MAX_PLAIN_PIXELS = 16_000_000  # which a processor decodes in a fifth of a second
MAX_PLAIN_SEGMENTS = 100
# Of a TIFF's values those that Pillow makes objects of: not bytes and text.
NUMBERS = frozenset({3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18})
HEAD = struct.Struct(">I4s")  # length of the data, and kind
SIDES = slice(16, 24)  # where the first chunk states width and height
COLOUR_TYPE = slice(25, 26)  # where it states the colour type
TRANSPARENT_BYTES = {0: (2,), 2: (6,), 3: range(1, 257)}  # of tRNS, by colour type
KEPT_CHUNKS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"tEXt", b"zTXt", b"iTXt")
# Keywords of texts in which programs state the orientation, as Pillow finds it.
ORIENTED = (b"Raw profile type exif", b"XML:com.adobe.xmp")
# Least bytes of the segments that Pillow or libjpeg read: JFIF's data, a part of a colour profile,
# Photoshop's resources, of which none is needed, and Adobe's data. Shorter ones are damaged. What
# is sound stays, for to leave out any costs a copy of the file.
LEAST_SEGMENT = {0xE0: 14, 0xE2: 14, 0xED: 2**16, 0xEE: 12}

Part = tuple[int, int, bool]  # where it starts and ends in the file, and whether it is needed


@dataclass(frozen=True)
class ImageFile:
    """content: the bytes as Pillow is to read them. webp_size: width and height that a WebP states,
    (0, 0) of another. has_coefficients: whether it is a JPEG of several scans, which are added up
    before any pixel is made."""

    content: bytes
    webp_size: tuple[int, int]
    has_coefficients: bool


def examine(content: bytes) -> ImageFile:
    """Raises Problem if the file ``content`` has more parts than images have."""
    check_structure(content)
    return ImageFile(
        without_metadata(content), webp_size(content), has_coefficients=_has_coefficients(content)
    )


def webp_size(content: bytes) -> tuple[int, int]:
    """Width and height that a WebP states; (0, 0) of anything else.

    Pillow takes the memory of two pictures as it reads the header.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return 0, 0
    match content[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
            return width + 1, height + 1
        case b"VP8L":
            sides = int.from_bytes(content[21:25], "little")
            return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(content[at : at + 2], "little") for at in (26, 28))
    return width & 0x3FFF, height & 0x3FFF


def is_plain(content: bytes) -> bool:
    """Whether ``content`` is a JPEG of one scan or a PNG, as nearly all photos are, and not so
    large that decoding it takes long."""
    if content.startswith(PNG_SIGNATURE):
        width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
        return width * height <= MAX_PLAIN_PIXELS
    if not content.startswith(JPEG_SIGNATURE):
        return False
    frame, scan = b"", 2
    for start, end, _ in islice(_segments(content), MAX_PLAIN_SEGMENTS):
        if content[start + 1] in FRAMES:
            frame = content[start + 4 : start + 10]
        scan = end
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    # one that has all components is decoded once and to its end; what follows is not read
    components = content[scan + 4 : scan + 5] if content[scan + 1 : scan + 2] == b"\xda" else b""
    return components == frame[5:6] != b"" and 0 < width * height <= MAX_PLAIN_PIXELS


def check_structure(content: bytes) -> None:
    """Raise Problem if ``content``, a file in any format, has more parts than images have."""
    if content.startswith(PNG_SIGNATURE):
        _check("chunks", sum(1 for _ in islice(_png_chunks(content), MAX_PARTS + 1)), MAX_PARTS)
    elif content.startswith(JPEG_SIGNATURE):
        markers = list(islice(_jpeg_markers(content), MAX_PARTS + 1))
        _check("segments", len(markers), MAX_PARTS)
        _check("scans", markers.count(START_OF_SCAN), MAX_SCANS)
        _check("bytes between segments", _loose_bytes(content), MAX_PARTS)
    elif content.startswith(GIF_SIGNATURES):
        _check("blocks before its first frame", _gif_parts(content), MAX_PARTS)
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


def _loose_bytes(content: bytes) -> int:
    """Of a JPEG, those before its first scan that are in no segment: Pillow reads them singly."""
    start, loose = 2, 0
    while (found := MARKER.search(content, start)) is not None:
        loose += found.start() - start
        if content[found.start() + 1] == START_OF_SCAN:
            break
        start = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    return loose


def _gif_parts(content: bytes) -> int:
    """Blocks and loose bytes before the first frame; more than `MAX_PARTS` are not counted."""
    flags, parts = content[10:11], 0
    start = GIF_SCREEN + (6 << (flags[0] & 7) if flags and flags[0] & 0x80 else 0)
    while parts <= MAX_PARTS and (kind := content[start : start + 1]) not in (b"", b",", b";"):
        start, parts = start + 1, parts + 1
        if kind != b"!":
            continue
        start += 1  # the extension's label
        while parts <= MAX_PARTS and (size := content[start : start + 1]) not in (b"", b"\0"):
            start, parts = start + 1 + size[0], parts + 1
        start += 1
    return parts


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
        if marker in FRAMES and len(body) == 6:
            components = body[5]
        if marker == START_OF_SCAN and body[:1] == bytes([components]):
            return
        start += length


def _has_coefficients(content: bytes) -> bool:
    if not content.startswith(JPEG_SIGNATURE):
        return False
    scans = 0
    for marker in islice(_jpeg_markers(content), MAX_PARTS):
        scans += marker == START_OF_SCAN
        if marker in PROGRESSIVE or scans > 1:
            return True
    return False


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


def without_metadata(content: bytes) -> bytes:
    """The file ``content``; of a PNG only what its pixels, their transparency, their orientation
    and the number of frames need, as far as that is sound; a JPEG without what is not."""
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
        marker, length = content[start + 1], int.from_bytes(content[start + 2 : start + 4])
        end = start + 2 + length
        if marker in (START_OF_SCAN, 0xFF) or end > len(content) or length < 2:
            return
        yield start, end, length - 2 >= LEAST_SEGMENT.get(marker, 0)
        start = end


def _chunks(content: bytes) -> Iterator[Part]:
    """Those of a PNG, up to the first that is cut."""
    for start in _png_chunks(content):
        length, kind = HEAD.unpack_from(content, start)
        end = start + HEAD.size + length + 4
        is_extra = kind[:1].islower()
        if end <= len(content):
            yield start, end, not is_extra or _is_needed(content, start, end)
        elif is_extra and kind.isalpha():
            yield start, len(content), False


def _is_needed(content: bytes, start: int, end: int) -> bool:
    kind = content[start + 4 : start + 8]
    if kind not in KEPT_CHUNKS:
        return False
    checked, stated = content[start + 4 : end - 4], content[end - 4 : end]
    if zlib.crc32(checked) != int.from_bytes(stated):
        return False
    data = checked[4:]
    match kind:
        case b"tRNS":
            return len(data) in TRANSPARENT_BYTES.get(int.from_bytes(content[COLOUR_TYPE]), ())
        case b"eXIf":
            return True
        case b"acTL":
            return len(data) == 8
        case b"fcTL":  # of the first frame alone, which is all that is decoded
            return len(data) == 26 and data[:20] == bytes(4) + content[SIDES] + bytes(8)
    keyword, _, rest = data.partition(b"\0")
    return keyword in ORIENTED and _text_length(kind, rest) <= MAX_TEXT_CHUNK


def _text_length(kind: bytes, rest: bytes) -> float:
    """Of the text that ``rest``, what follows the keyword, holds; infinite if it is damaged, or
    longer than what Pillow takes."""
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return len(rest)
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, MAX_TEXT_CHUNK)
    except zlib.error:
        return float("inf")
    return float("inf") if rest[:1] not in (b"\0", b"\1") or not inflater.eof else len(text)
