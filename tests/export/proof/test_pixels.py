"""Photos as they are before they are rounded to 8 bits."""

from pathlib import Path

import numpy as np
import pytest

from export.proof.pixels import read_unrounded
from models.variants import CROP_224, SHORTER_SIDE_800, letterbox
from service.imaging.files import read_photo
from service.imaging.input_spec import InputSpec

SMALL = SHORTER_SIDE_800.model_copy(
    update={"height": 224, "width": 224, "shorter_side": 100, "longer_side": 200}
)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_only_the_rounding_differs(photos: Path, order: str) -> None:
    fill = (124, 116, 104) if order == "rgb" else (104, 116, 124)
    spec = SMALL.model_copy(update={"channel_order": order, "fill": fill})
    read, rounded = (make(photos / "cat.jpg", spec) for make in (read_unrounded, read_photo))
    assert read.pixels.dtype == np.float32
    assert read.placement == rounded.placement
    difference = np.abs(read.pixels - rounded.pixels)
    assert 0.4 < difference.max() <= 0.501
    assert read.pixels.shape == (128, 160, 3)
    mean = [255 * value for value in (spec.mean if order == "rgb" else spec.mean[::-1])]
    np.testing.assert_allclose(read.pixels[-1, -1], mean, rtol=1e-6)


def test_a_fill_that_is_not_the_mean_stays(photos: Path) -> None:
    spec = SMALL.model_copy(update={"fill": (0, 0, 0)})
    assert read_unrounded(photos / "cat.jpg", spec).pixels[-1, -1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "spec", [CROP_224, letterbox(320, (0.5,) * 3, (0.5,) * 3)], ids=["crop", "letterbox"]
)
def test_what_pillow_resizes_is_rounded_by_it(photos: Path, spec: InputSpec) -> None:
    read = read_unrounded(photos / "cat.jpg", spec)
    np.testing.assert_array_equal(
        read.pixels, read_photo(photos / "cat.jpg", spec, exact=True).pixels
    )
