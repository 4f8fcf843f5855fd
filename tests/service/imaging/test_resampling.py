"""Resampling: Pillow's result, to the rounding, with the library and without it."""

import numpy as np
import pytest
from PIL import Image

from service.imaging import resampling
from service.imaging.resampling import Box, resample

BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
WHOLE = (0.0, 0.0, 400.0, 300.0)
PART = (3.7, 20.25, 391.5, 280.0)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Smooth and sharp in one: a gradient with stripes, and some noise."""
    y, x = np.mgrid[:300, :400]
    base = np.stack([x * 255 / 399, y * 255 / 299, 128 + 100 * np.sin(x * y / 900)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 6, base.shape)
    return Image.fromarray((base + noise).clip(0, 255).astype(np.uint8))


def difference(photo: Image.Image, size: tuple, method: Image.Resampling, box: Box) -> np.ndarray:
    ours = np.asarray(resample(photo, size, method, box)).astype(int)
    assert ours.shape == (size[1], size[0], 3)
    return np.abs(ours - np.asarray(photo.resize(size, method, box)))


@pytest.mark.parametrize("box", [WHOLE, PART], ids=["whole", "part"])
@pytest.mark.parametrize("size", [(320, 240), (37, 211), (800, 600), (1, 1), (400, 300)])
def test_bilinear_is_pillows_to_the_rounding(photo: Image.Image, size: tuple, box: Box) -> None:
    """Each of the two passes rounds once."""
    found = difference(photo, size, BILINEAR, box)
    assert found.max() <= 2
    assert found.mean() < 0.3
    assert (found > 1).mean() < 0.001


@pytest.mark.parametrize("box", [WHOLE, PART], ids=["whole", "part"])
@pytest.mark.parametrize("size", [(224, 224), (640, 480), (31, 7)])
def test_bicubic_is_pillows_but_where_it_overshoots(
    photo: Image.Image, size: tuple, box: Box
) -> None:
    found = difference(photo, size, BICUBIC, box)
    assert found.mean() < 0.3
    assert (found > 2).mean() < 0.002


def test_without_the_library_pillow_does_it(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "Resizer", None)
    assert not difference(photo, (320, 240), BICUBIC, PART).any()


def test_a_view_of_the_photo_is_not_changed(photo: Image.Image) -> None:
    before = photo.tobytes()
    resample(photo, (20, 20), BILINEAR, WHOLE)
    assert photo.tobytes() == before
