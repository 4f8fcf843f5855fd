"""Formats are named by operators; what they need is looked for at the start."""

import subprocess
import sys

import pytest

from service.imaging.formats import enable_formats
from tests.paths import ROOT


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
