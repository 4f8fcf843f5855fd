"""Image files to decode."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

LIMIT = 1_000_000  # pixels


def quadrants(width: int = 60, height: int = 40) -> Image.Image:
    """Red and green above, blue and yellow below: no turn or flip leaves it as it is."""
    image = Image.new("RGB", (width, height))
    colours = ("red", "lime", "blue", "yellow")
    for i, colour in enumerate(colours):
        x, y = i % 2 * width // 2, i // 2 * height // 2
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def animation(image_format: str, number: int) -> bytes:
    frames = [Image.new("RGB", (8, 8), (i * 20, 0, 0)) for i in range(number)]
    return encode(frames[0], image_format, save_all=True, append_images=frames[1:])


def png(depth: int, colour_type: int, row: bytes, width: int, transparent: bytes) -> bytes:
    """A PNG of one row, with its transparent colour."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0),
        b"tRNS": transparent,
        b"IDAT": zlib.compress(b"\0" + row),
        b"IEND": b"",
    }
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks.items():
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    return content


def bitmap(colour: tuple[int, int, int], alphas: Sequence[int]) -> bytes:
    """A BMP of one row of a colour, as Windows' clipboard gives it: 32 bits, with a mask for alpha,
    whether any alpha was set or not."""
    red, green, blue = colour
    pixels = b"".join(bytes((blue, green, red, alpha)) for alpha in alphas)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, len(alphas), 1, 1, 32, 3, 4 * len(alphas), 0, 0, 0, 0)
    header += masks + b"BGRs" + bytes(64)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header + pixels
