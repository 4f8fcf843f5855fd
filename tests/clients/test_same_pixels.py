"""The service sees the same pixels, in whatever form the SDK is given a photo."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from boxport_client import PhotoError
from boxport_client._photos import Photo, to_bytes, to_picture
from boxport_client._pixels import opaque
from boxport_client._shrinking import shrink
from PIL import Image, ImageCms

from service.imaging.images import decode_image
from service.problems import Problem
from tests.service.imaging.pictures import LIMIT, bitmap, encode, png, quadrants, tiff

ORIENTATION = 0x0112
SIDE = 120
NOT_READ = r"floating-point|this TIFF is not read as it shows"


def noise(*shape: int, dtype: str = "uint8", most: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most, shape).astype(dtype)


def smooth(*shape: int) -> np.ndarray:
    """Channels that grow in several directions, as a photo's do, and unlike noise's colours."""
    height, width, channels = shape
    y, x = np.mgrid[0:height, 0:width]
    found = [x * c / width + y * (channels - c) / height for c in range(channels)]
    return (np.stack(found, axis=2) * 255 / channels).astype("uint8")


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def palette_with_alpha() -> Image.Image:
    picture = Image.fromarray(noise(80, SIDE, most=4), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 128, 0, 0, 255, 255, 9, 9, 9, 200], "RGBA")
    return picture


GREY = noise(80, SIDE)
DEEP = noise(80, SIDE, dtype="uint16", most=65536)
COLOURS = smooth(80, SIDE, 3)
PAINTED = Image.fromarray(COLOURS)
FOUR = Image.fromarray(smooth(80, SIDE, 4))
LAB = ImageCms.createProfile("LAB")
LONG_ROW = bytes(range(256)) * 2

FILES: dict[str, bytes] = {
    **{
        f"{kind}, turned by {orientation}": encode(
            quadrants(SIDE, 80), kind, exif=turned(orientation)
        )
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
        for orientation in range(1, 9)
    },
    "1 bit": encode(Image.fromarray(GREY).convert("1"), "PNG"),
    "1 bit TIFF": encode(Image.fromarray(GREY).convert("1"), "TIFF"),
    "grey": encode(Image.fromarray(GREY), "PNG"),
    "grey with alpha": encode(Image.fromarray(noise(80, SIDE, 2)), "PNG"),
    "RGBA": encode(FOUR, "PNG"),
    "RGBA WebP": encode(FOUR, "WEBP", lossless=True),
    "palette": encode(PAINTED.convert("P"), "PNG"),
    "palette, one transparent": encode(PAINTED.convert("P"), "PNG", transparency=3),
    "palette with alpha": encode(palette_with_alpha(), "PNG"),
    "GIF, one transparent": encode(PAINTED.convert("P"), "GIF", transparency=3),
    "CMYK JPEG": encode(FOUR.convert("CMYK"), "JPEG"),
    "CMYK TIFF": encode(FOUR.convert("CMYK"), "TIFF"),
    "YCbCr TIFF": encode(PAINTED.convert("YCbCr"), "TIFF"),
    "16 bits": encode(Image.fromarray(DEEP), "PNG"),
    "16 bits TIFF": encode(Image.fromarray(DEEP), "TIFF"),
    "16 bits TIFF, big-endian": encode(Image.fromarray(DEEP.astype(">u2")), "TIFF"),
    **{
        f"TIFF {name}": tiff(GREY if grey else COLOURS, **tags)
        for name, grey, tags in (
            ("of 12 bits", True, {"bits": 12, "t262": 1}),
            ("of 16 bits, white as 0", True, {"bits": 16, "t262": 0}),
            ("of 8 bits, white as 0", True, {"t262": 0}),
            ("of 16 bits a channel", False, {"bits": 16, "t262": 2}),
            ("of signed samples", True, {"bits": 16, "t262": 1, "t339": 2}),
            ("of 32 bits", True, {"bits": 32, "t262": 1}),
            ("in planes of 16 bits", False, {"bits": 16, "t262": 2, "t284": 2}),
            ("of a reduced picture", False, {"t262": 2, "t254": 1}),
            ("in CIELab", False, {"t262": 8}),
        )
    },
    "float TIFF": encode(Image.fromarray(noise(80, SIDE, dtype="float32")), "TIFF"),
    "a colour profile": encode(PAINTED, "PNG", icc_profile=ImageCms.ImageCmsProfile(LAB).tobytes()),
    "1 bit, transparent": png(1, 0, LONG_ROW, 1024, b"\0\0"),
    "2 bits, transparent": png(2, 0, LONG_ROW, 1024, b"\0\1"),
    "4 bits, transparent": png(4, 0, LONG_ROW, 1024, b"\0\5"),
    "8 bits, transparent": png(8, 0, LONG_ROW, 512, b"\0\5"),
    "16 bits, transparent": png(16, 0, LONG_ROW, 256, b"\x04\x05"),
    "RGB, transparent": png(8, 2, LONG_ROW + b"\0", 171, b"\0\3\0\4\0\5"),
    "RGB of 16 bits, transparent": png(16, 2, LONG_ROW + bytes(4), 86, b"\6\7\x08\x09\x0a\x0b"),
    "bitmap without alpha": bitmap((200, 100, 50), [0] * SIDE),
    "bitmap with alpha": bitmap((200, 100, 50), [0] * 20 + [255] * 40),
}


def shown(content: bytes) -> np.ndarray | None:
    """What the service makes of a file's bytes; None if it refuses them."""
    try:
        return np.asarray(decode_image(content, LIMIT))
    except Problem:
        return None


def sent(photo: Photo) -> np.ndarray | None:
    """What the service makes of ``photo`` as the SDK sends it; None if either refuses it."""
    try:
        return shown(to_bytes(photo))
    except PhotoError:
        return None


def loaded(content: bytes) -> Image.Image:
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_its_file(name: str) -> None:
    content = FILES[name]
    expected, lazy = shown(content), Image.open(BytesIO(content))
    for _ in range(2):  # the first time decodes it
        np.testing.assert_equal(sent(lazy), expected)
    if ", transparent" not in name or name.startswith(("1 bit", "8 bits", "16 bits", "RGB,")):
        np.testing.assert_equal(sent(loaded(content)), expected)
    if expected is None:
        with pytest.raises(PhotoError, match=NOT_READ):
            to_bytes(lazy)
    else:
        np.testing.assert_equal(np.asarray(opaque(to_picture(content))), expected)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_made_smaller_shows_the_same(name: str) -> None:
    content = FILES[name]
    expected = shown(content)
    if expected is None:
        with pytest.raises(PhotoError, match=NOT_READ):
            shrink(content, SIDE // 2)
        return
    height, width = expected.shape[:2]
    for photo in (content, Image.open(BytesIO(content))):
        shrunk = shrink(photo, SIDE // 2)
        small = Image.fromarray(shown(shrunk.content))
        assert shrunk.size == (width, height)
        assert max(small.size) == SIDE // 2
        whole = Image.fromarray(expected).resize(small.size, Image.Resampling.LANCZOS)
        difference = np.abs(np.asarray(small, float) - np.asarray(whole, float)).mean()
        assert difference < 8
        assert shrink(photo, max(width, height)).size == (width, height)


def chunk(kind: bytes, data: bytes, damage: int = 0) -> bytes:
    checksum = zlib.crc32(kind + data) ^ damage
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


LARGE = zlib.compress(b"a" * 3_000_000)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"iCCP", b"profile\0\0" + LARGE),
        chunk(b"tEXt", b"Comment\0a", damage=1),
        chunk(b"eXIf", b"II", damage=1),
        chunk(b"tRNS", b"\0"),
        chunk(b"gAMA", b""),
    ],
    ids=["text", "XMP", "profile", "checksum", "EXIF", "transparency", "gamma"],
)
def test_what_a_png_holds_beside_its_pixels_does_not_cost_it(extra: bytes) -> None:
    whole = encode(quadrants(SIDE, 80), "PNG", exif=turned(6))
    content = whole[:33] + extra + whole[33:]
    expected = shown(content)
    assert expected is not None
    assert expected.shape == (SIDE, 80, 3)
    np.testing.assert_equal(np.asarray(to_picture(content)), expected)
    assert shrink(content, SIDE // 2).size == (80, SIDE)


def test_what_a_jpeg_holds_beside_its_pixels_does_not_cost_it() -> None:
    whole = encode(quadrants(SIDE, 80), "JPEG", exif=turned(6))
    for marker, data in ((0xEE, b"Adobe"), (0xE0, b"JFIF\0"), (0xE2, b"MPF\0II")):
        content = whole[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + whole[2:]
        np.testing.assert_equal(np.asarray(to_picture(content)), shown(content))
        assert shrink(content, SIDE // 2).size == (80, SIDE)


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "RGBX", "HSV", "I", "I;16L", "I;16B"])
def test_modes_that_no_file_has(mode: str) -> None:
    if mode == "I":
        picture = Image.fromarray(DEEP.astype("int32"))
    elif mode.startswith("I;16"):
        picture = Image.fromarray(DEEP).convert("I").convert(mode)
    elif mode == "PA":
        picture = PAINTED.convert("P").convert("PA")
    else:
        with_alpha = FOUR.convert("LA" if mode == "La" else "RGBA")
        picture = with_alpha.convert("RGB" if mode in ("RGBX", "HSV") else with_alpha.mode)
        picture = picture.convert(mode)
    same = Image.fromarray(DEEP)
    if not mode.startswith("I"):
        same = picture.convert("LA" if mode == "La" else "RGBA")
    np.testing.assert_equal(sent(picture), shown(encode(same, "PNG")))


@pytest.mark.parametrize(
    ("array", "same"),
    [
        (GREY.astype(bool), np.where(GREY.astype(bool), 255, 0).astype("uint8")),
        (np.asfortranarray(COLOURS), COLOURS),
        (COLOURS[::-1, ::-1, ::-1], np.ascontiguousarray(COLOURS[::-1, ::-1, ::-1])),
        (COLOURS[::3, ::2], np.ascontiguousarray(COLOURS[::3, ::2])),
        (GREY.T, np.ascontiguousarray(GREY.T)),
        (np.broadcast_to(GREY[..., None], COLOURS.shape), np.stack([GREY] * 3, axis=2)),
        (np.ma.masked_array(GREY), GREY),
        (np.frombuffer(GREY.tobytes(), "uint8").reshape(GREY.shape), GREY),
        (DEEP, Image.fromarray(DEEP)),
        (DEEP.astype(">u2"), Image.fromarray(DEEP)),
        (DEEP.astype("int32")[::-1], Image.fromarray(DEEP[::-1].copy())),
        (DEEP.astype(">i4"), Image.fromarray(DEEP)),
        (np.array([[-5, 70000, 257]], "int32"), np.array([[0, 255, 1]], "uint8")),
        (np.stack([DEEP] * 3, axis=2), np.stack([(DEEP >> 8).astype("uint8")] * 3, axis=2)),
    ],
)
def test_arrays_of_any_layout(array: np.ndarray, same: Any) -> None:
    expected = shown(
        encode(same if isinstance(same, Image.Image) else Image.fromarray(same), "PNG")
    )
    assert expected is not None
    np.testing.assert_equal(sent(array), expected)


@pytest.mark.parametrize(
    "array",
    [
        GREY / 255.0,
        GREY.astype("float16"),
        GREY.astype("int64"),
        GREY.astype("int16"),
        GREY.astype("uint32"),
        COLOURS.astype("int32"),
        GREY.astype("complex64"),
        GREY.astype(object),
        GREY.astype("datetime64[s]"),
        noise(3, 80, SIDE),
        noise(2, 80, SIDE, 3),
        np.uint8(3),
    ],
)
def test_arrays_whose_range_or_shape_is_not_known(array: np.ndarray) -> None:
    words = r"an array must be uint8 or uint16, .*; this one is "
    with pytest.raises(PhotoError, match=words) as caught:
        to_bytes(array)
    assert ("scale it to 0..255" in str(caught.value)) == (array.dtype.kind == "f")


def test_whatever_becomes_an_array() -> None:
    class Tensor:
        def __init__(self, device: str) -> None:
            self.device = device

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            if self.device != "cpu":
                raise TypeError(f"can't convert {self.device} device type tensor to numpy")
            return COLOURS

    np.testing.assert_equal(sent(Tensor("cpu")), COLOURS)
    with pytest.raises(PhotoError, match="can't convert cuda:0"):
        to_bytes(Tensor("cuda:0"))
