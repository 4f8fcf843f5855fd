"""Photos on disk as a model's inputs, by the service's own decoding and resizing."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from service.imaging.formats import SUFFIXES, select_photos
from service.imaging.images import decode_image, open_image
from service.imaging.photo import prepare
from service.imaging.resize import ModelInput
from service.manifest import InputSpec
from service.problems import Problem

MAX_PIXELS = 200_000_000

Say = Callable[[str], None]


def ignore(note: str) -> None:
    """Says nothing."""


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


def find_photos(folder: Path, say: Say = ignore) -> list[Path]:
    """The photos in ``folder``, by name; raises PhotoError if there is none.

    say: hears how many other files are passed over, and of what kind.
    """
    files = sorted(path for path in folder.glob("[!.]*") if not path.is_dir())
    paths, note = select_photos(files, str)
    if note is not None:
        say(f"{folder}: {note}")
    if not paths:
        raise PhotoError(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))})")
    return paths


def read_photos(folder: Path, spec: InputSpec, say: Say = ignore) -> list[ModelInput]:
    """Every photo in ``folder``, by name, as `find_photos` finds them and `read_photo` reads."""
    return [read_photo(path, spec) for path in find_photos(folder, say)]
