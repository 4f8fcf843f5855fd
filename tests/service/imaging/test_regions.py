"""Regions are cut at whole pixels, as by hand, and become what the model reads."""

import numpy as np
import pytest
from PIL import Image

from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, ShorterSide, Stretch
from service.imaging.regions import Context, clip, cut, pixels_of, warped
from service.imaging.resize import Photo, input_size, to_input
from service.problems import Problem

COLOURS = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1)}
CROP = CentreCrop(height=48, width=64, shorter_side=80, interpolation="bicubic", **COLOURS)
BOX = Letterbox(height=64, width=64, interpolation="bilinear", **COLOURS)
SHORT = ShorterSide(
    height=128,
    width=128,
    shorter_side=50,
    longer_side=100,
    divisor=32,
    interpolation="bilinear",
    **COLOURS,
)
SIZE = 300, 200


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (200, 300, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def photo(picture: Image.Image) -> Photo:
    return Photo(picture, *SIZE)


def test_without_a_spec_the_photo_is_what_it_is(picture: Image.Image) -> None:
    made = to_input(picture, None)
    assert (made.pixels == np.asarray(picture)).all()
    assert (made.placement.width, made.placement.height) == SIZE
    assert input_size(SIZE, None) == SIZE


@pytest.mark.parametrize("spec", [CROP, BOX, SHORT], ids=lambda spec: spec.resize)
@pytest.mark.parametrize("exact", [False, True])
def test_a_region_is_what_is_cut_out_by_hand(
    picture: Image.Image, photo: Photo, spec: InputSpec, exact: bool
) -> None:
    boxes = [(10.0, 20.0, 110.0, 180.0), (0.0, 0.0, 300.0, 200.0), (299.2, 5.7, 299.9, 6.1)]
    by_hand = [(10, 20, 110, 180), (0, 0, 300, 200), (299, 5, 300, 7)]
    made = cut(photo, boxes, spec, Context(), exact=exact)
    for one, box in zip(made, by_hand, strict=True):
        expected = to_input(picture.crop(box), spec, exact=exact)
        assert (one.pixels == expected.pixels).all()
        assert one.placement == expected.placement


def test_warped_regions_fill_the_input(picture: Image.Image, photo: Photo) -> None:
    (made,) = cut(photo, [(50, 0, 80, 200)], CROP, Context(resize="warp"), exact=True)
    by_hand = picture.crop((50, 0, 80, 200)).resize((64, 48), Image.Resampling.BICUBIC)
    assert (made.pixels == np.asarray(by_hand)).all()


@pytest.mark.parametrize(
    ("spec", "size"), [(CROP, (64, 48)), (BOX, (64, 64)), (SHORT, (64, 64))], ids=str
)
def test_warp_is_of_the_inputs_size_and_colours(spec: InputSpec, size: tuple[int, int]) -> None:
    made = warped(spec)
    assert isinstance(made, Stretch)
    assert (made.width, made.height) == size
    assert (made.mean, made.std, made.interpolation) == (spec.mean, spec.std, spec.interpolation)


@pytest.mark.parametrize(
    ("box", "padding", "pixels"),
    [
        ((10, 10, 20, 30), 0.0, (10, 10, 20, 30)),
        ((10.2, 10.9, 19.1, 29.001), 0.0, (10, 10, 20, 30)),
        ((10, 10, 20, 30), 0.5, (5, 0, 25, 40)),
        ((10, 10, 20, 30), 16 / (227 - 32), (9, 8, 21, 32)),
        ((280, 150, 300, 200), 1.0, (260, 100, 300, 200)),
        ((0, 0, 0.001, 0.001), 0.0, (0, 0, 1, 1)),
        ((299.999, 199.999, 300, 200), 0.0, (299, 199, 300, 200)),
    ],
)
def test_pixels_that_a_box_touches_with_its_context(
    box: tuple[float, ...], padding: float, pixels: tuple[int, ...]
) -> None:
    assert pixels_of(box, SIZE, padding) == pixels


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((-5, -5, 10, 10), (0, 0, 10, 10)),
        ((290, 190, 1e300, 1e300), (290, 190, 300, 200)),
        ((-1e300, -1e300, 1e300, 1e300), (0, 0, 300, 200)),
        ((299.5, 199.5, 400, 400), (299.5, 199.5, 300, 200)),
    ],
)
def test_what_lies_beyond_the_photo_is_cut_off(
    box: tuple[float, ...], clipped: tuple[float, ...]
) -> None:
    assert clip(box, SIZE) == clipped
    left, top, right, bottom = pixels_of(clip(box, SIZE), SIZE, 1.0)
    assert 0 <= left < right <= 300
    assert 0 <= top < bottom <= 200


@pytest.mark.parametrize(
    "box", [(300, 0, 310, 10), (-10, 0, 0, 10), (0, 200, 10, 210), (0, -10, 10, 0)]
)
def test_a_region_outside_is_told_with_the_photos_size(box: tuple[float, ...]) -> None:
    with pytest.raises(Problem, match="lies outside the image of 300 x 200 pixels") as caught:
        clip(box, SIZE)
    assert caught.value.code == "region_outside"
    assert ",".join(map(str, box)) in caught.value.detail
