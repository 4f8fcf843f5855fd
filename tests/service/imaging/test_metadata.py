"""What an image holds beside its pixels does not cost it, however large or damaged."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from service.imaging.images import decode_image
from service.imaging.structure import without_metadata
from tests.service.imaging.pictures import LIMIT, animation, encode, quadrants

PNG = encode(quadrants(), "PNG")
JPEG = encode(quadrants(), "JPEG")
LARGE = zlib.compress(bytes(3_000_000))
EXIF_OF_A_TURN = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


def chunk(kind: bytes, data: bytes, check: int | None = None) -> bytes:
    value = zlib.crc32(kind + data) if check is None else check
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", value)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"p\0\0" + LARGE),
        chunk(b"iCCP", b"p\0\7"),
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"zTXt", b"Comment\0\7abc"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"tEXt", b"Comment\0" + bytes(3_000_000)),
        chunk(b"tEXt", b"Comment\0hi", 0x12345678),
        chunk(b"gAMA", b""),
        chunk(b"cHRM", b"x"),
        chunk(b"sRGB", b""),
        chunk(b"pHYs", b"1"),
        chunk(b"tRNS", b"1"),
        chunk(b"tRNS", bytes(6), 0),
        chunk(b"eXIf", b"damaged"),
        chunk(b"acTL", b"1"),
        chunk(b"fcTL", b"1"),
        chunk(b"fdAT", b"1"),
        chunk(b"prVt", bytes(100), 1),
    ],
)
def test_an_extra_chunk_does_not_cost_a_png(extra: bytes, before: bytes) -> None:
    at = PNG.index(before) - 4
    decoded = decode_image(PNG[:at] + extra + PNG[at:], LIMIT)
    assert decoded.tobytes() == quadrants().tobytes()


def test_a_png_that_is_cut_within_an_extra_chunk_is_whole() -> None:
    at = PNG.index(b"IEND") - 4
    for size in (9, 20):
        cut = PNG[:at] + chunk(b"tEXt", b"Comment\0" + bytes(100))[:size]
        assert decode_image(cut, LIMIT).tobytes() == quadrants().tobytes()


@pytest.mark.parametrize(
    "stated",
    [
        chunk(b"eXIf", EXIF_OF_A_TURN),
        chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n%8d\n" % 32 + (b"Exif\0\0" + EXIF_OF_A_TURN).hex().encode()),
        ),
    ],
    ids=["EXIF", "XMP", "ImageMagick's"],
)
def test_a_png_keeps_its_orientation(stated: bytes) -> None:
    at = PNG.index(b"IDAT") - 4
    turned = decode_image(PNG[:at] + stated + PNG[at:], LIMIT)
    assert turned.tobytes() == quadrants().transpose(Image.Transpose.ROTATE_270).tobytes()


def test_a_png_keeps_its_transparency_and_its_number_of_frames() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert (
        decode_image(encode(palette, "PNG", transparency=0), LIMIT).getpixel((0, 0)) == (255,) * 3
    )
    kept = without_metadata(animation("PNG", 3))
    with Image.open(BytesIO(kept)) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.n_frames == 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Image appears to be a malformed")
@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"MPF\0II*\0damaged"),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0"),
        segment(0xEE, b"Adobe"),
        segment(0xE1, b"Exif\0\0damaged"),
        segment(0xE5, b""),
        segment(0xFE, bytes(60_000)),
    ],
)
def test_an_extra_segment_does_not_cost_a_jpeg(extra: bytes) -> None:
    decoded = decode_image(JPEG[:20] + extra + JPEG[20:], LIMIT)
    assert decoded.tobytes() == decode_image(JPEG, LIMIT).tobytes()


def test_a_jpeg_keeps_what_tells_its_colours_and_its_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for image, options in ((quadrants(), {"exif": exif}), (quadrants().convert("CMYK"), {})):
        content = encode(image, "JPEG", icc_profile=bytes(100), **options)
        assert without_metadata(content) is content, "to copy a large photo takes time"
        plain = encode(image, "JPEG", **options)
        assert decode_image(content, LIMIT).tobytes() == decode_image(plain, LIMIT).tobytes()


def test_other_files_are_left_as_they_are() -> None:
    for content in (b"", b"abc", PNG[:10], JPEG[:5], encode(quadrants(), "GIF")):
        assert without_metadata(content) is content


def test_transparency_before_the_header_is_left_out() -> None:
    assert without_metadata(PNG[:8] + chunk(b"tRNS", b"1")) == PNG[:8]
