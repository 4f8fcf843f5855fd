"""Makes the photos that are sent: of the size usual on web pages, and of a phone's camera.

They are made from the sample photos, or from a folder of others, deterministically, and kept.
"""

import math
import random
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from export.evaluation.photo_set import find_photos
from service.imaging.files import read_image

SMALL_SIZE = (500, 375)
SMALL_BYTES = 60_000  # approximate size of a small photo's file
SMALL_PHOTOS = 64
QUALITIES = range(60, 97, 4)
PHONE_SIZE = (4032, 3024)  # 12 megapixels
PHONE_PHOTOS = 6
PHONE_QUALITY = 90
TILES = 4  # along each side of a large photo
GRAIN = 3.0  # standard deviation of a camera's noise, of 255
JPEG = "photo-{:02}.jpg"


def small_photos(source: Path, folder: Path, number: int = SMALL_PHOTOS) -> Path:
    """The folder of ``number`` JPEGs of `SMALL_SIZE`, each of about `SMALL_BYTES`.

    A photo of ``source`` that has this size already is taken as it is.
    """
    return _fill(folder, number, _cut_small(find_photos(source), random.Random(0)))


def phone_photos(source: Path, folder: Path, number: int = PHONE_PHOTOS) -> Path:
    """The folder of ``number`` JPEGs of `PHONE_SIZE`."""
    return _fill(folder, number, _make_large(find_photos(source), PHONE_SIZE))


def photo_of(source: Path, megapixels: float, folder: Path) -> Path:
    """The folder of one JPEG of so many megapixels, 4 to 3."""
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    return _fill(folder, 1, _make_large(find_photos(source), (width, round(width * 3 / 4))))


def _fill(folder: Path, number: int, contents: Iterator[bytes]) -> Path:
    """Write ``number`` files, unless all of them are there."""
    paths = [folder / JPEG.format(i) for i in range(number)]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents, strict=False):
            path.write_bytes(content)
    return folder


def _cut_small(sources: Sequence[Path], chooser: random.Random) -> Iterator[bytes]:
    turn = 0
    while True:
        path = sources[turn % len(sources)]
        photo = read_image(path)
        if photo.size == SMALL_SIZE and turn < len(sources):
            yield path.read_bytes()
        else:
            yield _near_bytes(_crop(photo, chooser))
        turn += 1


def _crop(photo: Image.Image, chooser: random.Random) -> Image.Image:
    """A random part of the photo, at least 0.7 of its sides, resized to `SMALL_SIZE`."""
    share = chooser.uniform(0.7, 1.0)
    width, height = (int(side * share) for side in photo.size)
    left, top = chooser.randint(0, photo.width - width), chooser.randint(0, photo.height - height)
    part = photo.crop((left, top, left + width, top + height))
    return ImageOps.fit(part, SMALL_SIZE, Image.Resampling.BICUBIC)


def _near_bytes(photo: Image.Image) -> bytes:
    """A JPEG of the quality whose size is closest to `SMALL_BYTES`."""
    contents = [_to_jpeg(photo, quality) for quality in QUALITIES]
    return min(contents, key=lambda content: abs(len(content) - SMALL_BYTES))


def _make_large(sources: Sequence[Path], size: tuple[int, int]) -> Iterator[bytes]:
    """Mosaics of photos with a camera's noise: enlarged photos alone would be smooth, and take a
    decoder less time than real ones."""
    chooser = random.Random(0)
    grain = np.random.default_rng(0)
    photos = [read_image(path) for path in sources[:SMALL_PHOTOS]]
    side = (-(-size[0] // TILES), -(-size[1] // TILES))
    while True:
        sheet = Image.new("RGB", size)
        for i in range(TILES * TILES):
            tile = ImageOps.fit(chooser.choice(photos), side, Image.Resampling.BICUBIC)
            sheet.paste(tile, (i % TILES * side[0], i // TILES * side[1]))
        noise = grain.normal(0, GRAIN, (size[1], size[0], 1)).astype(np.float32)
        pixels = (np.asarray(sheet) + noise).clip(0, 255).astype(np.uint8)
        yield _to_jpeg(Image.fromarray(pixels), PHONE_QUALITY)


def _to_jpeg(photo: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
