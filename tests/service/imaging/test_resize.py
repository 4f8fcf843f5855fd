"""Photos become inputs, and boxes on inputs become boxes on photos."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from service.imaging import resize
from service.imaging.input_spec import (
    CentreCrop,
    InputSpec,
    Letterbox,
    ShorterSide,
    Stretch,
    WholeInput,
)
from service.imaging.placement import Placement
from service.imaging.resize import Box, input_size, resample, to_input

HALF = (0.5, 0.5, 0.5)
LETTERBOX = Letterbox(height=320, width=320, interpolation="bilinear", mean=HALF, std=HALF)
CENTRED = LETTERBOX.model_copy(update={"anchor": "centre", "fill": (114, 114, 114)})
STRETCH = Stretch(height=320, width=416, interpolation="bilinear", mean=HALF, std=HALF)
CENTRE_CROP = CentreCrop(
    height=224,
    width=224,
    interpolation="bicubic",
    shorter_side=256,
    mean=HALF,
    std=HALF,
)
SHORTER_SIDE = ShorterSide(
    height=1344,
    width=1344,
    interpolation="bilinear",
    shorter_side=800,
    longer_side=1333,
    divisor=32,
    fill=(124, 116, 104),
    mean=HALF,
    std=HALF,
)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "filled"),
    [
        ((640, 480), (320, 240)),
        ((480, 640), (240, 320)),
        ((320, 320), (320, 320)),
        ((10, 5), (320, 160)),
        ((5000, 1), (320, 1)),
        ((1, 5000), (1, 320)),
        ((333, 500), (213, 320)),  # of 213.12
        ((1999, 37), (320, 5)),  # of 5.92
    ],
)
def test_letterbox_fits_the_photo_into_the_top_left_corner(
    size: tuple[int, int], filled: tuple[int, int]
) -> None:
    pixels = to_input(Image.new("RGB", size, (250, 0, 0)), LETTERBOX).pixels
    assert pixels.shape == (320, 320, 3)
    assert pixels.dtype == np.uint8
    is_photo = (pixels == (250, 0, 0)).all(axis=-1)
    expected = np.zeros((320, 320), dtype=bool)
    expected[: filled[1], : filled[0]] = True
    np.testing.assert_array_equal(is_photo, expected)
    assert (pixels[~is_photo] == 128).all()


@pytest.mark.parametrize(
    ("size", "left", "top", "right", "bottom"),
    [
        ((640, 480), 0, 40, 320, 280),
        ((480, 640), 40, 0, 280, 320),
        ((320, 320), 0, 0, 320, 320),
        ((10, 5), 0, 80, 320, 240),
        ((333, 500), 53, 0, 266, 320),  # 213.12 wide: 107 are left, of which 53 before it
        ((1999, 37), 0, 157, 320, 163),  # 5.92 high: rounded
        ((640, 483), 0, 39, 320, 281),  # 241.5 high: to the even one
        ((5000, 1), 0, 159, 320, 160),
    ],
)
def test_centred_letterbox_rounds_as_ultralytics_does(
    size: tuple[int, int], left: int, top: int, right: int, bottom: int
) -> None:
    pixels = to_input(Image.new("RGB", size, (250, 0, 0)), CENTRED).pixels
    expected = np.full((320, 320, 3), 114, dtype=np.uint8)
    expected[top:bottom, left:right] = (250, 0, 0)
    np.testing.assert_array_equal(pixels, expected)


def ultralytics_placement(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """Left, top, width and height in a square, by the formulas of ultralytics'
    `data/augment.py`, `LetterBox`."""
    ratio = min(side / size[1], side / size[0])
    width, height = round(size[0] * ratio), round(size[1] * ratio)
    dw, dh = (side - width) / 2, (side - height) / 2
    left, top, right, bottom = (round(x) for x in (dw - 0.1, dh - 0.1, dw + 0.1, dh + 0.1))
    assert (left + width + right, top + height + bottom) == (side, side)
    return left, top, width, height


def test_centred_letterbox_lies_where_ultralytics_puts_it_whatever_the_size() -> None:
    rng = np.random.default_rng(0)
    for width, height in rng.integers(20, 600, (50, 2)).tolist():
        made = to_input(Image.new("RGB", (width, height), (250, 0, 0)), CENTRED).placement
        left, top, *sides = ultralytics_placement((width, height), 320)
        assert (made.left, made.top) == (left, top)
        assert (made.scale_x, made.scale_y) == (sides[0] / width, sides[1] / height)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(640, 480), (37, 1999), (1, 1), (416, 320)])
def test_stretch_scales_each_side_by_itself(size: tuple[int, int], antialias: bool) -> None:
    photo = noise(*size)
    made = to_input(photo, STRETCH.model_copy(update={"antialias": antialias}), exact=True)
    assert made.placement == Placement(*size, 416 / size[0], 320 / size[1])
    channels = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1)[None].double()
    expected = F.interpolate(channels, (320, 416), mode="bilinear", antialias=antialias)
    difference = np.abs(made.pixels - expected[0].permute(1, 2, 0).numpy())
    assert difference.max() <= 1 + 1e-3  # Pillow rounds after each of its two passes


def extent(pixels: np.ndarray, spec: WholeInput) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part of an input that the photo does not leave empty."""
    if isinstance(spec, Stretch):
        return 0, 0, spec.width, spec.height
    is_photo = (pixels != spec.fill).any(axis=-1)
    columns, rows = (np.flatnonzero(is_photo.any(axis=axis)) for axis in (0, 1))
    return int(columns[0]), int(rows[0]), len(columns), len(rows)


WHOLE_INPUTS = pytest.mark.parametrize(
    "spec",
    [LETTERBOX, CENTRED, STRETCH, SHORTER_SIDE],
    ids=["letterbox", "centred", "stretch", "shorter side"],
)


@WHOLE_INPUTS
@pytest.mark.parametrize("size", [(640, 480), (333, 500), (1999, 37), (3, 4000)])
def test_a_box_comes_back_where_it_was(size: tuple[int, int], spec: WholeInput) -> None:
    """The whole photo is squeezed into whole pixels, so its quarters are theirs, however few."""
    made = to_input(Image.new("RGB", size, (250, 0, 0)), spec)
    left, top, width, height = extent(made.pixels, spec)
    quarters = np.array([0.25, 0.5, 0.75, 0.875])
    on_input = quarters * ((width, height) * 2) + (left, top) * 2
    back = made.placement.undo(on_input[None].astype(np.float32))
    np.testing.assert_allclose(back[0], quarters * (size * 2), rtol=1e-5)


@WHOLE_INPUTS
@pytest.mark.parametrize("size", [(640, 480), (333, 500), (1999, 137)])
def test_a_painted_box_comes_back_where_it_was_painted(
    size: tuple[int, int], spec: WholeInput
) -> None:
    width, height = size
    box = (int(width * 0.2), int(height * 0.4), int(width * 0.7), int(height * 0.9))
    photo = Image.new("RGB", size, (0, 0, 0))
    photo.paste((255, 255, 255), box)
    made = to_input(photo, spec)
    left, top, *filled = extent(made.pixels, spec)
    is_box = np.zeros(made.pixels.shape[:2], dtype=bool)
    shown = slice(top, top + filled[1]), slice(left, left + filled[0])
    is_box[shown] = made.pixels[shown][..., 0] > 127
    columns, rows = np.flatnonzero(is_box.any(axis=0)), np.flatnonzero(is_box.any(axis=1))
    painted = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    back = made.placement.undo(np.array([painted], dtype=np.float32))[0]
    pixel = [width / filled[0], height / filled[1]] * 2  # of the input, in pixels of the photo
    assert (np.abs(back - box) <= 0.5 * np.array(pixel) + 0.5).all()


@pytest.mark.parametrize(
    ("size", "filled", "canvas"),
    [
        ((500, 375), (1066, 800), (1088, 800)),  # of 1066.67
        ((375, 500), (800, 1066), (800, 1088)),
        ((2000, 1000), (1333, 666), (1344, 672)),  # of 666.5; the longer side is the limit
        ((1000, 2000), (666, 1333), (672, 1344)),
        ((100, 100), (800, 800), (800, 800)),
        ((3000, 3000), (800, 800), (800, 800)),
        ((1333, 800), (1333, 800), (1344, 800)),  # as it is
        ((640, 480), (1066, 800), (1088, 800)),
        ((640, 384), (1333, 799), (1344, 800)),  # both limits at once, to within .2 pixels
        ((1, 1), (800, 800), (800, 800)),
        ((5000, 1), (1333, 1), (1344, 32)),
        ((1, 5000), (1, 1333), (32, 1344)),
    ],
)
@pytest.mark.parametrize("antialias", [True, False])
def test_shorter_side_is_scaled_and_both_are_filled_up(
    size: tuple[int, int], filled: tuple[int, int], canvas: tuple[int, int], antialias: bool
) -> None:
    spec = SHORTER_SIDE.model_copy(update={"antialias": antialias})
    made = to_input(Image.new("RGB", size, (250, 0, 0)), spec)
    assert made.pixels.shape == (canvas[1], canvas[0], 3)
    assert made.pixels.dtype == np.uint8
    is_photo = (made.pixels == (250, 0, 0)).all(axis=-1)
    expected = np.zeros(is_photo.shape, dtype=bool)
    expected[: filled[1], : filled[0]] = True
    np.testing.assert_array_equal(is_photo, expected)
    assert (made.pixels[~is_photo] == (124, 116, 104)).all()
    placement = made.placement
    assert (placement.width, placement.height) == size
    np.testing.assert_allclose(
        placement.undo(np.array([[0, 0, *filled]], dtype=np.float32)), [[0, 0, *size]], rtol=1e-6
    )


@pytest.mark.parametrize("size", [(1, 1), (17, 4000), (801, 800), (999, 1001), (4000, 2401)])
def test_input_that_varies_stays_within_what_the_manifest_states(size: tuple[int, int]) -> None:
    width, height = input_size(size, SHORTER_SIDE)
    assert to_input(Image.new("RGB", size), SHORTER_SIDE).pixels.shape == (height, width, 3)
    assert height % 32 == width % 32 == 0
    assert height <= SHORTER_SIDE.height
    assert width <= SHORTER_SIDE.width


@pytest.mark.parametrize(("exact", "rounding"), [(True, 0.501), (False, 1.01)])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (1, 1), (2, 90), (1600, 1200)])
def test_without_antialias_pixels_are_those_of_torchs_interpolate(
    size: tuple[int, int], exact: bool, rounding: float
) -> None:
    """Made larger and made smaller; rounded once, or by vector instructions in each pass."""
    photo = noise(*size)
    spec = SHORTER_SIDE.model_copy(update={"antialias": False})
    pixels = to_input(photo, spec, exact=exact).pixels
    scale = min(800 / min(size), 1333 / max(size))
    width, height = (max(1, int(side * scale + 1e-6)) for side in size)
    channels = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1)[None].double()
    expected = F.interpolate(channels, (height, width), mode="bilinear", align_corners=False)
    difference = pixels[:height, :width] - expected[0].permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= rounding


@pytest.mark.parametrize(
    "spec", [LETTERBOX, STRETCH, CENTRE_CROP], ids=["letterbox", "stretch", "centre crop"]
)
def test_input_that_does_not_vary_has_one_size(spec: InputSpec) -> None:
    assert {input_size(size, spec) for size in ((1, 1), (640, 200), (331, 447))} == {
        (spec.width, spec.height)
    }


def test_boxes_on_a_varying_input_are_clipped_to_the_photo() -> None:
    placement = to_input(Image.new("RGB", (500, 375)), SHORTER_SIDE).placement
    back = placement.undo(np.array([[-5, -5, 1088, 800]], dtype=np.float32))
    np.testing.assert_allclose(back, [[0, 0, 500, 375]])


def test_a_crops_boxes_lie_on_the_photo() -> None:
    placement = to_input(Image.new("RGB", (640, 480)), CENTRE_CROP).placement
    back = placement.undo(np.array([[0, 0, 224, 224]], dtype=np.float32))
    scale = 480 / 256  # of 341 x 256, 58 or 59 columns and 16 rows are cut off at each side
    np.testing.assert_allclose(back, [[58 * 640 / 341, 16 * scale, 282 * 640 / 341, 240 * scale]])


def test_boxes_are_clipped_to_the_photo() -> None:
    placement = to_input(Image.new("RGB", (640, 480)), LETTERBOX).placement
    back = placement.undo(np.array([[-5, -5, 320, 320]], dtype=np.float32))
    np.testing.assert_allclose(back, [[0, 0, 640, 480]])


@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90])
@pytest.mark.parametrize("name", ["cat", "astronaut", "coffee", "rocket"])
def test_centre_crop_is_the_middle_of_the_resized_photo(
    photos: Path, name: str, turn: Image.Transpose | None
) -> None:
    photo = Image.open(photos / f"{name}.jpg")
    photo = photo if turn is None else photo.transpose(turn)
    width, height = (int(256 * side / min(photo.size)) for side in photo.size)
    whole = photo.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), dtype=int)
    pixels = to_input(photo, CENTRE_CROP).pixels
    assert pixels.shape == (224, 224, 3)
    difference = np.abs(pixels.astype(int) - expected)
    # Pillow may resize rows before columns in one and after in the other, and rounds in between.
    assert difference.mean() < 0.5
    assert difference.max() <= 8


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (1, 1)])
def test_centre_crop_of_a_sliver_needs_no_more_memory_than_the_crop(size: tuple[int, int]) -> None:
    # Its shorter side at 256 pixels would make the longer one 25,600,000.
    assert to_input(Image.new("RGB", size, "red"), CENTRE_CROP).pixels.shape == (224, 224, 3)


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
    monkeypatch.setattr(resize, "Resizer", None)
    assert not difference(photo, (320, 240), BICUBIC, PART).any()


def test_a_view_of_the_photo_is_not_changed(photo: Image.Image) -> None:
    before = photo.tobytes()
    resample(photo, (20, 20), BILINEAR, WHOLE)
    assert photo.tobytes() == before
