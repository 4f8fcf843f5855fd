"""Photos made smaller, and their answers put back."""

from io import BytesIO

import numpy as np
import pytest
from boxport_client import Box, Detection, PhotoError
from boxport_client._shrinking import fit, rescaled, shrink, to_compact
from PIL import Image


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    array = np.zeros((height, width, 3), np.uint8)
    array[..., 0] = np.linspace(0, 255, width)[None]
    array[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(array)


def as_jpeg(picture: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["file", "picture", "array", "bytes", "file object"])
def test_the_longer_side_becomes_max_side(kind: str, tmp_path) -> None:
    picture = gradient(400, 200)
    path = tmp_path / "a.jpg"
    path.write_bytes(as_jpeg(picture))
    photo = {
        "file": path,
        "picture": picture,
        "array": np.asarray(picture),
        "bytes": path.read_bytes(),
        "file object": BytesIO(path.read_bytes()),
    }[kind]
    shrunk = shrink(photo, 100)
    small = opened(shrunk.content)
    assert (small.format, small.size, shrunk.size) == ("JPEG", (100, 50), (400, 200))
    assert picture.size == (400, 200)
    difference = np.asarray(small.convert("RGB"), int) - np.asarray(gradient(100, 50), int)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(orientation: int) -> None:
    content = as_jpeg(gradient(400, 200), orientation)
    shrunk = shrink(content, 100)
    small = opened(shrunk.content)
    lies = orientation >= 5
    assert shrunk.size == ((200, 400) if lies else (400, 200))
    assert small.size == ((50, 100) if lies else (100, 50))
    assert small.getexif().get(0x0112, 1) == 1
    from boxport_client._photos import to_picture

    upright = to_picture(content).resize(small.size)
    assert np.abs(np.asarray(small, int) - np.asarray(upright, int)).mean() < 4


def test_a_photo_that_is_small_enough_goes_as_it_is() -> None:
    content = as_jpeg(gradient(100, 50), 6)
    shrunk = shrink(content, 100)
    assert shrunk.content is content
    assert shrunk.size == (50, 100)
    assert shrink(BytesIO(content), 100).content == content


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("1", "JPEG"),
        ("L", "JPEG"),
        ("P", "JPEG"),
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
    ],
)
def test_transparency_is_kept_and_nothing_else_is(mode: str, format: str) -> None:
    small = opened(shrink(gradient(40, 20).convert(mode), 10).content)
    assert (small.format, small.size) == (format, (10, 5))
    assert small.has_transparency_data == (format == "PNG")


def test_a_palette_with_transparency_keeps_it() -> None:
    picture = gradient(40, 20).convert("P")
    picture.info["transparency"] = 0
    assert opened(shrink(picture, 10).content).mode == "RGBA"


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (0, 0, 0)), ("L", 0), ("1", 0)])
def test_the_transparent_colour_of_a_png_stays_transparent(mode: str, colour: object) -> None:
    picture = Image.new(mode, (40, 40), 1 if mode == "1" else "white")
    picture.paste(colour, (0, 0, 20, 40))
    content = BytesIO()
    picture.save(content, "PNG", transparency=colour)
    small = opened(shrink(content.getvalue(), 20).content)
    assert [small.getpixel((x, 9))[-1] for x in (2, 17)] == [0, 255]


def test_sixteen_bits_do_not_become_white() -> None:
    picture = Image.fromarray(np.full((20, 40), 128 * 257, np.uint16))
    assert picture.mode.startswith("I;16")
    small = opened(shrink(picture, 10).content)
    assert np.asarray(small).mean() == pytest.approx(128, abs=1)


def test_boxes_are_put_back() -> None:
    found = (Detection(Box(10, 5, 100, 50.0), 0.9, "cat", 8),)
    (back,) = rescaled(found, (100, 50), (400, 201))
    assert tuple(back.box) == pytest.approx((40, 20.1, 400, 201))
    assert (back.score, back.label, back.label_id) == (0.9, "cat", 8)
    assert rescaled(found, (100, 50), (100, 50)) is found


def test_no_box_leaves_the_photo() -> None:
    found = (Detection(Box(0, 0, 33.0000001, 7), 0.9, "cat", 8),)
    (back,) = rescaled(found, (33, 7), (100, 21))
    assert back.box.right == 100


def test_frames_are_fitted_and_compact() -> None:
    picture = gradient(400, 200)
    assert fit(picture, None) is fit(picture, 400) is picture
    assert fit(picture, 100).size == (100, 50)
    assert opened(to_compact(picture)).format == "JPEG"


@pytest.mark.parametrize(
    "photo", [b"no photo", as_jpeg(gradient(400, 200))[:600], "http://a.example/cat.jpg"]
)
def test_what_cannot_be_decoded_is_a_photo_error(photo) -> None:
    with pytest.raises(PhotoError) as caught:
        shrink(photo, 100)
    assert "\n" not in str(caught.value)
