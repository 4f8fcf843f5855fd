"""Photos on disk as a model's inputs, by the service's own decoding and resizing."""

from pathlib import Path

from PIL import Image

from service.imaging.images import decode_image, open_image
from service.imaging.photo import prepare
from service.imaging.resize import ModelInput
from service.manifest import InputSpec
from service.problems import Problem

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 200_000_000


class PhotoError(Exception):
    """A photo, or a folder of them, that is of no use; the message says which and why."""


def read_image(path: Path) -> Image.Image:
    """One photo, upright, in RGB; raises PhotoError."""
    try:
        return decode_image(path.read_bytes(), MAX_PIXELS)
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror}") from error
    except Problem as problem:
        raise PhotoError(f"{path}: {problem.detail}") from problem


def read_photo(path: Path, spec: InputSpec, *, exact: bool = False) -> ModelInput:
    """One photo as the model reads it when it is served; raises PhotoError.

    exact: whether Pillow is to resize it, as it does where nothing of the service is at hand.
    """
    try:
        with open_image(path.read_bytes(), MAX_PIXELS) as image:
            return prepare(image, spec, exact=exact)
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror}") from error
    except Problem as problem:
        raise PhotoError(f"{path}: {problem.detail}") from problem


def find_photos(folder: Path) -> list[Path]:
    """The photos in ``folder``, by name; raises PhotoError if there is none."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise PhotoError(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))})")
    return paths


def read_photos(folder: Path, spec: InputSpec) -> list[ModelInput]:
    """Every photo in ``folder``, by name; raises PhotoError if there is none."""
    return [read_photo(path, spec) for path in find_photos(folder)]
