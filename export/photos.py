"""Folders of photos."""

from pathlib import Path

from export.progress import OnStep, ignore_step
from service.imaging.files import PhotoError, read_photo
from service.imaging.formats import SUFFIXES, select_photos
from service.imaging.resize import ModelInput
from service.manifest import InputSpec


def find_photos(folder: Path, on_note: OnStep = ignore_step) -> list[Path]:
    """The photos in ``folder``, by name; raises PhotoError if there is none.

    on_note: is told how many other files are passed over, and of what kind.
    """
    files = sorted(path for path in folder.glob("[!.]*") if not path.is_dir())
    paths, note = select_photos(files, str)
    if note is not None:
        on_note(f"{folder}: {note}")
    if not paths:
        raise PhotoError(f"{folder}: holds no photo ({', '.join(sorted(SUFFIXES))})")
    return paths


def read_photos(folder: Path, spec: InputSpec, on_note: OnStep = ignore_step) -> list[ModelInput]:
    """Every photo in ``folder``, by name, as `find_photos` finds them and `read_photo` reads."""
    return [read_photo(path, spec) for path in find_photos(folder, on_note)]
