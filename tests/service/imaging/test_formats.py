"""Formats are named by operators; what they need is looked for at the start."""

import subprocess
import sys
from pathlib import Path

import pytest
from boxport_client._folder import SUFFIXES_OF as CLIENT_SUFFIXES_OF
from PIL import Image

from service.imaging.formats import (
    FORMATS,
    HEIF,
    SUFFIXES,
    SUFFIXES_OF,
    enable_formats,
    select_photos,
)
from tests.paths import ROOT


def test_suffixes_are_those_by_which_pillow_knows_the_formats() -> None:
    Image.init()
    known = {suffix for suffix, name in Image.EXTENSION.items() if name in FORMATS}
    rare = {".apng", ".dib", ".avifs"}  # animations, and a bitmap without its file's header
    assert known - rare == SUFFIXES


def test_the_clients_suffixes_are_the_services() -> None:
    """With those of formats that a service may have been told to read."""
    assert {**SUFFIXES_OF, HEIF: (".heic", ".heif")} == CLIENT_SUFFIXES_OF


@pytest.mark.parametrize(
    ("names", "photos", "note"),
    [
        (["a.JPG", "b.jfif", "c.avif", "d.gif"], 4, None),
        (["a.txt", "b.jpg", "c.HEIC", "d.txt"], 1, "passed over 3 files: 2 .txt, 1 .heic"),
        (["LICENSE", "b.jpg"], 1, "passed over 1 file: 1 without a suffix"),
        ([], 0, None),
    ],
)
def test_other_files_are_counted_by_their_kind(
    names: list[str], photos: int, note: str | None
) -> None:
    paths = [Path("photos", name) for name in names]
    found, said = select_photos(paths, str)
    assert found == [path for path in paths if path.suffix.lower() in SUFFIXES]
    assert (len(found), said) == (photos, note)


def test_formats_are_checked_by_name() -> None:
    assert enable_formats(["PNG", "AVIF"]) == ("PNG", "AVIF")
    with pytest.raises(ValueError, match="PSD: is no format that is read; there are JPEG, "):
        enable_formats(["PNG", "PSD"])


def test_a_format_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ValueError, match="HEIF: needs the package pillow-heif"):
        enable_formats(["HEIF"])


def test_heif_is_read_once_it_is_asked_for() -> None:
    """In a process of its own: what is registered with Pillow stays so."""
    code = """
from io import BytesIO
import pillow_heif
from PIL import Image
from service.imaging.formats import enable_formats
from service.imaging.images import open_image, to_rgb
from service.problems import Problem
file = BytesIO()
pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(file, quality=90)
try:
    with open_image(file.getvalue(), 10_000):
        raise SystemExit("read without being asked for")
except Problem as problem:
    assert problem.code == "invalid_image", problem.code
formats = enable_formats(["JPEG", "HEIF"])
with open_image(file.getvalue(), 10_000, formats=formats) as image:
    photo = to_rgb(image)
assert photo.size == (64, 48)
assert all(abs(a - b) < 12 for a, b in zip(photo.getpixel((32, 24)), (200, 30, 30)))
try:
    with open_image(file.getvalue(), 1000, formats=formats):
        raise SystemExit("read although it is too large")
except Problem as problem:
    assert problem.code == "image_too_large", problem.code
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
