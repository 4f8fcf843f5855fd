"""Every kind of image that people send becomes the same upright RGB."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from service.imaging.images import decode_image
from tests.service.imaging.pictures import LIMIT, animation, bitmap, encode, png, quadrants

ORIENTATION = 0x0112
# What a camera did to the upright picture, for each value of EXIF's orientation.
UNDONE_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of pixels, 0..255."""
    assert a.size == b.size
    assert a.mode == b.mode == "RGB"
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_exif_orientation_is_undone(orientation: int, image_format: str) -> None:
    upright = quadrants()
    turn = UNDONE_BY[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    decoded = decode_image(encode(stored, image_format, exif=exif), LIMIT)
    assert decoded.size == (60, 40)
    assert difference(decoded, upright) < 8  # JPEG blurs the borders of the quadrants


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_cost_the_image() -> None:
    content = encode(quadrants(), "JPEG", exif=b"Exif\x00\x00MM\x00*garbage")
    assert difference(decode_image(content, LIMIT), quadrants()) < 8


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_give_the_same_pixels(image_format: str, options: dict) -> None:
    assert (
        difference(decode_image(encode(quadrants(), image_format, **options), LIMIT), quadrants())
        == 0
    )


def test_grey_becomes_rgb() -> None:
    grey = quadrants().convert("L")
    assert difference(decode_image(encode(grey, "PNG"), LIMIT), grey.convert("RGB")) == 0


def test_one_bit_becomes_black_and_white() -> None:
    decoded = decode_image(encode(quadrants().convert("1"), "PNG"), LIMIT)
    assert set(np.unique(decoded)) == {0, 255}


def test_palette_keeps_its_colours() -> None:
    palette = quadrants().convert("P", palette=Image.Palette.ADAPTIVE)
    assert difference(decode_image(encode(palette, "PNG"), LIMIT), quadrants()) < 1


def test_transparent_parts_show_white() -> None:
    layer = quadrants().convert("RGBA")
    layer.paste((0, 0, 0, 0), (0, 0, 30, 40))  # black underneath
    layer.putpixel((59, 39), (0, 0, 0, 128))
    decoded = decode_image(encode(layer, "PNG"), LIMIT)
    assert decoded.getpixel((5, 5)) == (255, 255, 255)
    assert decoded.getpixel((45, 5)) == (0, 255, 0)
    assert decoded.getpixel((59, 39)) == pytest.approx((127, 127, 127), abs=1)


def test_transparent_colour_of_a_palette_shows_white() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((0, 0), 1)
    decoded = decode_image(encode(palette, "GIF", transparency=0), LIMIT)
    assert decoded.getpixel((0, 0)) == (255, 0, 0)
    assert decoded.getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (png(1, 0, b"\x40", 2, b"\0\0"), [255, 255]),
        (png(1, 0, b"\x40", 2, b"\0\1"), [0, 255]),
        (png(2, 0, b"\x60", 2, b"\0\1"), [255, 170]),
        (png(4, 0, b"\x5a", 2, b"\0\5"), [255, 170]),
        (png(8, 0, b"\x05\x55", 2, b"\0\5"), [255, 85]),
        (png(16, 0, b"\x03\xe8\xc8\xc8", 2, b"\x03\xe8"), [255, 200]),
        (png(8, 2, b"\5\6\7\5\6\6", 2, b"\0\5\0\6\0\7"), [255, (5, 6, 6)]),
        (png(16, 2, b"\5\1\6\1\7\1\5\1\6\1\6\1", 2, b"\5\1\6\1\7\1"), [255, (5, 6, 6)]),
    ],
    ids=["1 bit", "1 bit, its white", "2 bits", "4 bits", "8 bits", "16 bits", "RGB", "RGB of 16"],
)
def test_the_transparent_colour_of_a_png_shows_white(
    content: bytes, shown: list[int | tuple[int, ...]]
) -> None:
    decoded = decode_image(content, LIMIT)
    expected = [colour if isinstance(colour, tuple) else (colour,) * 3 for colour in shown]
    assert [decoded.getpixel((x, 0)) for x in range(2)] == expected


@pytest.mark.parametrize(
    ("alphas", "shown"),
    [((0, 0), [(0, 0, 255)] * 2), ((0, 255), [(255, 255, 255), (0, 0, 255)])],
    ids=["never set", "meant"],
)
def test_a_bitmap_that_would_be_invisible_is_opaque(
    alphas: tuple[int, int], shown: list[tuple[int, int, int]]
) -> None:
    decoded = decode_image(bitmap((0, 0, 255), alphas), LIMIT)
    assert [decoded.getpixel((x, 0)) for x in range(2)] == shown


def test_grey_with_alpha_shows_white() -> None:
    assert decode_image(encode(Image.new("LA", (4, 4), (0, 0)), "PNG"), LIMIT).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(image_format: str) -> None:
    decoded = decode_image(encode(quadrants().convert("CMYK"), image_format), LIMIT)
    assert difference(decoded, quadrants()) < 8


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_changes_no_pixel(image_format: str) -> None:
    """Training has read the stored values too."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    tagged = encode(quadrants(), image_format, icc_profile=profile)
    plain = decode_image(encode(quadrants(), image_format), LIMIT)
    assert decode_image(tagged, LIMIT).tobytes() == plain.tobytes()


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(image_format: str) -> None:
    ramp = np.linspace(0, 65535, 60 * 40).reshape(40, 60).astype(np.uint16)
    decoded = np.asarray(decode_image(encode(Image.fromarray(ramp), image_format), LIMIT))
    assert decoded.shape == (40, 60, 3)
    np.testing.assert_array_equal(decoded[..., 0], ramp // 257)


def test_phone_photo_of_several_pictures_gives_the_first() -> None:
    content = encode(quadrants(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert difference(decode_image(content, LIMIT), quadrants()) < 8


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "AVIF", "GIF", "TIFF"])
def test_every_animation_gives_its_first_frame(image_format: str) -> None:
    decoded = decode_image(animation(image_format, 3), LIMIT)
    assert decoded.getpixel((4, 4)) == pytest.approx((0, 0, 0), abs=3)
