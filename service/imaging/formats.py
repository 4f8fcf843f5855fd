"""The formats of image files that are read, and the suffixes of their names."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import PurePath
from typing import TypeVar

File = TypeVar("File")

# Only what people take photos with; each further decoder is one more that strangers can reach.
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
FORMATS = tuple(SUFFIXES_OF)
HEIF = "HEIF"  # read by the package pillow-heif
SUFFIXES = frozenset(chain.from_iterable(SUFFIXES_OF.values()))


def enable_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Formats as Pillow knows them, once it can read each; raises ValueError if it cannot."""
    for name in names:
        if name == HEIF:
            try:
                importlib.import_module("pillow_heif").register_heif_opener()
            except ImportError:
                raise ValueError(
                    f"{name}: needs the package pillow-heif; pip install --group heif"
                ) from None
        elif name not in FORMATS:
            known = ", ".join((*FORMATS, HEIF))
            raise ValueError(f"{name}: is no format that is read; there are {known}")
    return tuple(names)


def select_photos(
    files: Iterable[File], name_of: Callable[[File], str | PurePath]
) -> tuple[list[File], str | None]:
    """The photos among ``files``, in their order, by the suffixes of their names; and a sentence on
    the others, such as "passed over 3 files: 2 .txt, 1 .heic", or None."""
    photos, others = [], Counter[str]()
    for file in files:
        suffix = PurePath(name_of(file)).suffix.lower()
        if suffix in SUFFIXES:
            photos.append(file)
        else:
            others[suffix or "without a suffix"] += 1
    if not others:
        return photos, None
    kinds = ", ".join(f"{number} {suffix}" for suffix, number in others.most_common())
    total = others.total()
    return photos, f"passed over {total} file{'s' if total > 1 else ''}: {kinds}"
