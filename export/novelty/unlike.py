"""Photos that are unlike any training photo: what cameras, cables and users make of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from service.imaging.files import read_image

Change = Callable[[Image.Image, np.random.Generator], Image.Image]

LONGEST = 512  # pixels of a side from which these are made
TILES = 4  # along each side
LETTERS = list("abcdefghijklmnopqrstuvwxyz     ,.")


def _upside_down(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return photo.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def _darkened(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = rng.uniform(0.1, 0.3)
    return photo.point(lambda value: value * factor)


def _overexposed(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = rng.uniform(0.1, 0.3)
    return photo.point(lambda value: 255 - (255 - value) * factor)


def _out_of_focus(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.02, 0.06) * max(photo.size)))


def _shuffled(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Its tiles in another order."""
    width, height = max(1, photo.width // TILES), max(1, photo.height // TILES)
    canvas = Image.new("RGB", (width * TILES, height * TILES))
    for place, tile in enumerate(rng.permutation(TILES**2).tolist()):
        (top, left), (row, column) = divmod(place, TILES), divmod(tile, TILES)
        corner = column * width, row * height
        part = photo.crop((*corner, corner[0] + width, corner[1] + height))
        canvas.paste(part, (left * width, top * height))
    return canvas


def _noise(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The photo under noise, of which there may be nothing else."""
    pixels, share = np.asarray(photo, dtype=np.float32), rng.uniform(0.5, 1.0)
    noise = rng.integers(0, 256, pixels.shape)
    return Image.fromarray((pixels * (1 - share) + noise * share).astype(np.uint8))


def _text(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A page of the photo's size."""
    page = Image.new("RGB", photo.size, "white")
    draw, size = ImageDraw.Draw(page), float(rng.integers(12, 40))
    font = ImageFont.load_default(size)
    for line in range(int(page.height / (1.3 * size))):
        words = "".join(rng.choice(LETTERS, 80))
        draw.text((size / 2, 1.3 * size * line), words, fill="black", font=font)
    return page


KINDS: dict[str, Change] = {
    "upside down": _upside_down,
    "darkened": _darkened,
    "overexposed": _overexposed,
    "out of focus": _out_of_focus,
    "shuffled": _shuffled,
    "noise": _noise,
    "text": _text,
}


def unlike(paths: Sequence[Path], kind: str, seed: int = 0) -> Iterator[Image.Image]:
    """One of ``kind``, of `KINDS`, for each photo. Raises PhotoError."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    for path in paths:
        photo = read_image(path)
        photo.thumbnail((LONGEST, LONGEST))
        yield KINDS[kind](photo, rng)
