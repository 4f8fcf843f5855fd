"""What a model reads of an image file, and that decoding it smaller takes nothing from that."""

import functools
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.imaging.images import decode_image, open_image, prepare, to_rgb
from service.imaging.input_spec import InputSpec, Letterbox, Stretch
from service.imaging.resize import ModelInput, least_size, to_input
from service.manifest import read_manifest
from service.problems import Problem
from tests.service.imaging.pictures import encode

LIMIT = 100_000_000
ORIENTATION = 0x0112
TURNED = 6  # an orientation that exchanges the sides


@pytest.fixture(params=["efficientdet_lite0_voc", "efficientnet_lite0_imagenet"])
def spec(store: Path, request: pytest.FixtureRequest) -> InputSpec:
    return read_manifest(store / request.param / "1" / "manifest.json").input


@functools.cache
def large_photo(photos: Path, size: tuple[int, int], orientation: int = 1, **options) -> bytes:
    """A photo with fine detail: others beside it, and grain."""
    sheet = Image.new("RGB", size)
    files = sorted(photos.glob("*.jpg"))
    for i in range(9):
        with Image.open(files[i % len(files)]) as photo:
            part = photo.convert("RGB").resize((size[0] // 3 + 1, size[1] // 3 + 1))
        sheet.paste(part, (i % 3 * size[0] // 3, i // 3 * size[1] // 3))
    grain = np.random.default_rng(0).normal(0, 4, (size[1], size[0], 1))
    noisy = (np.asarray(sheet) + grain).clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = BytesIO()
    options = {"format": "JPEG", "quality": 92, "exif": exif, **options}
    Image.fromarray(noisy).save(buffer, **options)
    return buffer.getvalue()


def read(content: bytes, spec: InputSpec) -> ModelInput:
    with open_image(content, LIMIT) as image:
        return prepare(image, spec)


def read_whole(content: bytes, spec: InputSpec) -> ModelInput:
    with open_image(content, LIMIT) as image:
        return to_input(to_rgb(image), spec)


SIZES = ((2400, 1800), (1549, 1163), (2571, 700))
# each size, each orientation, and in the full suite each of both
LARGE = [
    pytest.param(
        size, turned, marks=() if size == SIZES[0] or turned == TURNED else pytest.mark.full
    )
    for size in SIZES
    for turned in range(1, 9)
]


@pytest.mark.parametrize(("size", "orientation"), LARGE)
def test_a_large_jpeg_reads_as_if_decoded_whole(
    photos: Path, spec: InputSpec, size: tuple[int, int], orientation: int
) -> None:
    content = large_photo(photos, size, orientation)
    found, expected = read(content, spec), read_whole(content, spec)
    assert found.pixels.shape == expected.pixels.shape
    difference = np.abs(found.pixels.astype(int) - expected.pixels)
    assert difference.mean() < 0.6
    upright = size if orientation <= 4 else size[::-1]
    assert (found.placement.width, found.placement.height) == upright
    corners = np.array([[0, 0, spec.width / 2, spec.height / 2]], np.float32)
    np.testing.assert_array_equal(
        found.placement.undo(corners), expected.placement.undo(corners), "boxes lie elsewhere"
    )


def test_it_is_really_decoded_smaller(photos: Path, spec: InputSpec) -> None:
    with open_image(large_photo(photos, (2400, 1800)), LIMIT) as image:
        prepare(image, spec)
        assert image.size == (1200, 900) if spec.resize == "letterbox" else (600, 450)


@pytest.mark.parametrize("options", [{"format": "PNG"}, {"format": "WEBP"}])
def test_other_formats_are_decoded_whole(photos: Path, spec: InputSpec, options: dict) -> None:
    content = large_photo(photos, (1500, 1200), **options)
    np.testing.assert_array_equal(read(content, spec).pixels, read_whole(content, spec).pixels)


def test_a_photo_of_usual_size_is_read_pixel_by_pixel(photos: Path, spec: InputSpec) -> None:
    content = (photos / "cat.jpg").read_bytes()
    np.testing.assert_array_equal(read(content, spec).pixels, read_whole(content, spec).pixels)


@pytest.mark.parametrize("size", [(1, 1), (30_000, 1), (1, 30_000), (2, 3)])
def test_a_side_of_a_pixel_is_a_photo_too(spec: InputSpec, size: tuple[int, int]) -> None:
    content = BytesIO()
    Image.new("RGB", size, "red").save(content, "PNG")
    found = read(content.getvalue(), spec)
    assert found.pixels.shape == (spec.height, spec.width, 3)
    assert (found.pixels == (255, 0, 0)).all(axis=2).any()
    assert (found.placement.width, found.placement.height) == size


@pytest.mark.parametrize(
    "size", [(9, 12000), (60, 12000), (97, 12000), (104, 12000), (12000, 90), (6000, 13)]
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_strip_is_a_photo_too(size: tuple[int, int], orientation: int) -> None:
    """Decoded smaller, a narrow side has so few pixels that they tell the reduction no more."""
    spec = Letterbox(height=320, width=320, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    colours = np.random.default_rng(1).integers(0, 256, (size[1] // 400 + 1, 1, 3), np.uint8)
    strip = Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(strip, "JPEG", quality=95, exif=exif)
    found, expected = read(content, spec), read_whole(content, spec)
    assert found.placement == expected.placement
    assert (found.placement.width, found.placement.height) == (
        size[::-1] if orientation > 4 else size
    )
    assert np.abs(found.pixels.astype(int) - expected.pixels).mean() < 2


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_photo_is_as_wide_as_its_picture(image_format: str, orientation: int) -> None:
    spec = Letterbox(height=40, width=40, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(Image.new("RGB", (40, 10)), image_format, exif=exif)
    placement = read(content, spec).placement
    upright = decode_image(content, LIMIT)
    assert (placement.width, placement.height) == upright.size
    assert upright.size == ((10, 40) if orientation > 4 else (40, 10))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (2, b"6\0\0\0"),
        (11, struct.pack("<f", 6.5)),
        (11, struct.pack("<f", 6.0)),
        (4, struct.pack("<I", 6)),
        (3, struct.pack("<HH", 6, 0)),
        (3, struct.pack("<HH", 9, 0)),
        (1, b"\x06\0\0\0"),
    ],
    ids=["text", "float", "whole float", "long", "short", "unknown", "byte"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_reading_of_a_crafted_orientation_turns_sizes_and_pixels(
    kind: int, value: bytes
) -> None:
    spec = Letterbox(height=40, width=40, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    tag = struct.pack("<HHI", ORIENTATION, kind, 1) + value
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + tag + bytes(4)
    content = encode(Image.new("RGB", (40, 10)), "JPEG", exif=exif)
    placement = read(content, spec).placement
    assert (placement.width, placement.height) == decode_image(content, LIMIT).size


def test_it_can_be_left_off(photos: Path, spec: InputSpec) -> None:
    content = large_photo(photos, (2400, 1800))
    with open_image(content, LIMIT) as image:
        found = prepare(image, spec, reduce=False)
    np.testing.assert_array_equal(found.pixels, read_whole(content, spec).pixels)


def test_a_resize_without_smoothing_gets_every_pixel() -> None:
    half = (0.5, 0.5, 0.5)
    sharp = Letterbox(
        height=320, width=320, interpolation="bilinear", mean=half, std=half, antialias=False
    )
    assert least_size((4000, 3000), sharp) == (4000, 3000)


def test_a_stretched_photo_keeps_the_pixels_of_both_sides() -> None:
    """Whichever way it lies in its file: what turns it upright comes later."""
    half = (0.5, 0.5, 0.5)
    spec = Stretch(height=400, width=100, interpolation="bilinear", mean=half, std=half)
    assert least_size((4000, 2000), spec) == (1600, 800)
    assert least_size((2000, 4000), spec) == (800, 1600)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_decoded_smaller_too(photos: Path, spec: InputSpec, mode: str) -> None:
    buffer = BytesIO()
    with Image.open(BytesIO(large_photo(photos, (2400, 1800)))) as photo:
        photo.convert(mode).save(buffer, "JPEG", quality=92)
    found = read(buffer.getvalue(), spec).pixels
    expected = read_whole(buffer.getvalue(), spec).pixels
    assert np.abs(found.astype(int) - expected).mean() < 0.6


def test_what_is_cut_short_is_still_refused(photos: Path, spec: InputSpec) -> None:
    content = large_photo(photos, (2400, 1800))
    with pytest.raises(Problem) as caught:
        read(content[: len(content) // 2], spec)
    assert caught.value.code == "invalid_image"
