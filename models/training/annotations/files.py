"""Files and folders that make up a data set."""

from collections.abc import Iterator
from pathlib import Path

from models.training.annotations.content import DataError


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' tools put a mark in front
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8") from error


def require_folder(path: Path) -> None:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")


def visible_files(folder: Path) -> Iterator[Path]:
    """Files below ``folder`` in a fixed order, without those that systems leave there."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_dir():  # a link to nowhere is a photo that is missing
            yield path
