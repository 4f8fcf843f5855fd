"""What a PNG or JPEG holds beside its pixels.

Pillow reads all of it, and refuses a picture for a part that is damaged, or a text or a colour
profile that is large. Browsers, libpng and libjpeg pass over such a part, and so does what is here.
The other formats' metadata do not cost Pillow the picture.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL.PngImagePlugin import MAX_TEXT_CHUNK

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4s")  # length of the data, and kind
SIDES = slice(16, 24)  # where the first chunk states width and height
COLOUR_TYPE = 25  # where it states the colour type
TRANSPARENT_BYTES = {0: (2,), 2: (6,), 3: range(1, 257)}  # of tRNS, by colour type
KEPT_CHUNKS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"tEXt", b"zTXt", b"iTXt")
# Keywords of texts in which programs state the orientation, as Pillow finds it.
ORIENTED = (b"Raw profile type exif", b"XML:com.adobe.xmp")


JPEG_SIGNATURE = b"\xff\xd8\xff"
START_OF_SCAN = 0xDA
# Least bytes of the segments that Pillow or libjpeg read: JFIF's data, a part of a colour profile,
# Photoshop's resources, of which none is needed, and Adobe's data. Shorter ones are damaged. What
# is sound stays, for to leave out any costs a copy of the file.
LEAST_SEGMENT = {0xE0: 14, 0xE2: 14, 0xED: 2**16, 0xEE: 12}

Part = tuple[int, int, bool]  # where it starts and ends in the file, and whether it is needed


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
    start = len(PNG_SIGNATURE)
    while start + HEAD.size <= len(content):
        length, kind = HEAD.unpack_from(content, start)
        end = start + HEAD.size + length + 4
        is_extra = kind[:1].islower()
        if end > len(content):
            if is_extra and kind.isalpha():
                yield start, len(content), False
            return
        yield start, end, not is_extra or _is_needed(content, start, end)
        start = end


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
            return len(data) in TRANSPARENT_BYTES.get(content[COLOUR_TYPE], ())
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
