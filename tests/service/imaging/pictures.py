"""Image files to decode."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate

import numpy as np
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


def tiff(
    samples: np.ndarray, *, bits: int = 8, order: str = "<", packed: bool = False, **tags: int
) -> bytes:
    """A TIFF of ``samples`` [H, W] or [H, W, C], which are less than 2 ** ``bits``.

    order: of bytes, < or >. packed: whether it is compressed. tags: such as t262=1, the photometric
    interpretation.
    """
    height, width = samples.shape[:2]
    number = samples[0, 0].size
    rows = samples.reshape(height, -1)
    if tags.get("t284") == 2:
        rows = np.moveaxis(samples.reshape(height, width, number), 2, 0).reshape(-1, width)
    if bits < 8 or bits % 8:
        lines = ("".join(f"{int(value):0{bits}b}" for value in row) for row in rows)
        padded = (line + "0" * (-len(line) % 8) for line in lines)
        data = b"".join(int(line, 2).to_bytes(len(line) // 8) for line in padded)
    else:
        kind = "f" if tags.get("t339") == 3 else "i" if tags.get("t339") == 2 else "u"
        data = rows.astype(f"{order}{kind}{bits // 8}").tobytes()
    planes = number if tags.get("t284") == 2 else 1
    strips = [data[len(data) * i // planes : len(data) * (i + 1) // planes] for i in range(planes)]
    if packed:
        strips = [zlib.compress(strip) for strip in strips]
    values: dict[int, list[int]] = {
        256: [width],
        257: [height],
        258: [bits] * number,
        259: [8 if packed else 1],
        273: [0] * planes,
        277: [number],
        278: [height],
        279: [len(strip) for strip in strips],
    }
    values |= {int(name[1:]): [value] for name, value in tags.items()}
    if 339 in values:
        values[339] *= number
    start = 8 + 2 + 12 * len(values) + 4
    longs = sum(4 * len(value) for value in values.values() if len(value) > 1)
    offsets = accumulate(map(len, strips[:-1]), initial=start + longs)
    values[273] = list(offsets)
    entries, beside = b"", b""
    for tag, value in sorted(values.items()):
        field = struct.pack(f"{order}{len(value)}I", *value)
        if len(value) > 1:
            beside, field = beside + field, struct.pack(f"{order}I", start + len(beside))
        entries += struct.pack(f"{order}HHI", tag, 4, len(value)) + field
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(values))
    return head + entries + bytes(4) + beside + b"".join(strips)
