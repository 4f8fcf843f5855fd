"""The formats of image files that are read, and the suffixes of their names."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import PurePath
from typing import TypeVar

from service.problems import Problem

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
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
# What files that are sent as photos begin with.
BEGINNINGS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG\r\n": "a PNG",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "a Photoshop file",
    b"\0\0\x01\0": "an icon",
    b"%PDF": "a PDF",
    b"\x1a\x45\xdf\xa3": "a film (Matroska, WebM)",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"data:": "a data URI",
    b"<svg": "SVG",
    b"<?xml": "XML, as SVG is",
    b"<!doctype html": "a page of HTML",
    b"<html": "a page of HTML",
    b"{": "JSON",
}


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


def unknown_image(content: bytes, formats: Sequence[str]) -> Problem:
    """Why ``content``, which is in none of ``formats``, is refused: by what it is, if known."""
    kind = _kind_of(content)
    detail = f"These bytes are no image in a known format ({', '.join(formats)})"
    if kind == HEIF and HEIF not in formats:
        detail = (
            "This is a HEIC photo (HEIF), which the service does not read: save it as JPEG, or have"
            " the operator install the package pillow-heif and set"
            f" BOXPORT_IMAGE_FORMATS={','.join((*formats, HEIF))}"
        )
    elif kind:
        detail += f"; they begin as {kind} does"
    return Problem("invalid_image", f"{detail}.")


def _kind_of(content: bytes) -> str | None:
    if content[4:8] == b"ftyp":
        brands = {content[start : start + 4] for start in (8, *range(16, 64, 4))}
        if b"avif" in brands:
            return "AVIF"
        return HEIF if brands.intersection(HEIF_BRANDS) else "a film (MP4, QuickTime)"
    if content[:4] == b"RIFF":
        return "a WebP" if content[8:12] == b"WEBP" else "a film or sound (RIFF)"
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, kind in BEGINNINGS.items():
        if content.startswith(beginning) or start.startswith(beginning):
            return kind
    return None


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
