"""Image files with random damage, reproducible by seed."""

import random
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

SIZE = (96, 72)  # small, so that many are tried
MAX_LENGTH = 20_000  # of a mutant that has grown
TOKENS = (
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xc4",
    b"IDAT",
    b"IEND",
    b"ANMF",
    b"II*\x00",
    b"RIFF",
    b"\x00",
)

# (Pillow's format, mode, further arguments of `save`)
VARIANTS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True, "quality": 95}),
    ("JPEG", "L", {}),
    ("JPEG", "CMYK", {}),
    ("JPEG", "RGB", {"subsampling": 0, "restart_marker_blocks": 4}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"bits": 4}),
    ("PNG", "1", {}),
    ("PNG", "I;16", {}),
    ("PNG", "LA", {"optimize": True}),
    ("GIF", "P", {}),
    ("GIF", "P", {"save_all": True, "loop": 0}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True, "duration": 20}),
    ("AVIF", "RGB", {}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", "strip_size": 1024}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "CMYK", {}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "I;16", {}),
    ("TIFF", "RGB", {"save_all": True}),
)


def seeds(photos: Path) -> list[bytes]:
    """Good files in every format and many of their modes, with EXIF data and colour profiles."""
    frames = [
        Image.open(photo).convert("RGB").resize(SIZE) for photo in sorted(photos.glob("*.jpg"))
    ]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right
    found = []
    for number, (format_, mode, arguments) in enumerate(VARIANTS):
        picture, other = (_in_mode(frames[(number + i) % len(frames)], mode) for i in (0, 1))
        further = dict(arguments)
        if further.get("save_all"):
            further["append_images"] = [other]
        if format_ in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF") and mode == "RGB":
            further.update(exif=exif, icc_profile=profile)
        file = BytesIO()
        picture.save(file, format_, **further)
        found.append(file.getvalue())
    return found


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return picture.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    return picture.convert(mode)


def mutants(files: list[bytes], seed: int) -> Iterator[bytes]:
    """Endless; each mutant depends on its number and ``seed`` alone."""
    number = 0
    while True:
        chooser = random.Random(f"{seed}/{number}")
        file = chooser.choice(files)
        for _ in range(chooser.choice((1, 1, 1, 1, 2, 8))):
            file = chooser.choice(MUTATIONS)(file, chooser, files)
        yield file[:MAX_LENGTH]
        number += 1


Mutation = Callable[[bytes, random.Random, list[bytes]], bytes]


def _place(file: bytes, chooser: random.Random) -> int:
    """More often near the start, where the headers are."""
    return int(len(file) * chooser.random() ** chooser.choice((1, 4)))


def flip_bits(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    changed = bytearray(file)
    for _ in range(chooser.choice((1, 4, 32)) if file else 0):
        changed[min(_place(file, chooser), len(file) - 1)] ^= 1 << chooser.randrange(8)
    return bytes(changed)


def truncate(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    return file[: _place(file, chooser)]


def splice(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    """The start of one file, and the end of another."""
    other = chooser.choice(files)
    return file[: _place(file, chooser)] + other[_place(other, chooser) :]


def inflate_number(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    """Overwrite some number in the file by a very large or an unusual one."""
    layout = chooser.choice((">H", "<H", ">I", "<I"))
    largest = 2 ** (8 * struct.calcsize(layout)) - 1
    value = chooser.choice((0, 1, 2**15, largest // 2, largest - 1, largest))
    place = _place(file, chooser)
    return file[:place] + struct.pack(layout, value) + file[place + struct.calcsize(layout) :]


def repeat_piece(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    """Repeat a piece of the file twice or many times."""
    start, length = _place(file, chooser), chooser.choice((1, 12, 64, 1024))
    return file[:start] + file[start : start + length] * chooser.choice((2, 3, 50)) + file[start:]


def remove_piece(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    start = _place(file, chooser)
    return file[:start] + file[start + chooser.choice((1, 4, 12, 200)) :]


def insert_token(file: bytes, chooser: random.Random, files: list[bytes]) -> bytes:
    place = _place(file, chooser)
    return file[:place] + chooser.choice(TOKENS) + file[place:]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    truncate,
    splice,
    inflate_number,
    repeat_piece,
    remove_piece,
    insert_token,
)
