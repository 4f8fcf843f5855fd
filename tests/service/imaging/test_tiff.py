"""A TIFF is read as it shows, or refused in words that are true."""

import struct
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image

from service.imaging.images import decode_image
from service.problems import Problem
from tests.service.imaging.pictures import LIMIT, encode, quadrants, tiff

RGB = np.asarray(quadrants(61, 40).resize((61, 40), Image.Resampling.BILINEAR))
GREY = np.arange(40 * 61).reshape(40, 61) % 256
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("bits", "photometric", "order"),
    [
        *product((1, 2, 4, 8), (WHITE_IS_ZERO, BLACK_IS_ZERO), "<>"),
        *product((16,), (BLACK_IS_ZERO,), "<>"),
        (16, WHITE_IS_ZERO, "<"),
        (12, BLACK_IS_ZERO, "<"),
    ],
)
def test_grey_of_every_depth_shows_the_same(
    bits: int, photometric: int, order: str, packed: bool
) -> None:
    largest = 2**bits - 1
    samples = GREY * largest // 255
    stored = samples if photometric == BLACK_IS_ZERO else largest - samples
    content = tiff(stored, bits=bits, order=order, packed=packed, t262=photometric)
    decoded = np.asarray(decode_image(content, LIMIT))
    assert np.abs(decoded[..., 1].astype(int) - samples * 255 // largest).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "tags"),
    [(8, {}), (8, {"t284": 2}), (16, {})],
    ids=["8 bits", "8 bits in planes", "16 bits"],
)
def test_rgb_shows_the_same(bits: int, tags: dict[str, int], order: str) -> None:
    samples = RGB.astype(int) * ((2**bits - 1) // 255)
    decoded = np.asarray(decode_image(tiff(samples, bits=bits, order=order, t262=2, **tags), LIMIT))
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palettes_colours_may_be_written_in_8_bits(bits: int) -> None:
    palette = quadrants().quantize(4)
    content = encode(palette, "TIFF")
    colours = Image.open(BytesIO(content)).tag_v2[320]
    stated = struct.pack("<768H", *colours)
    written = struct.pack("<768H", *(colour >> 16 - bits for colour in colours))
    decoded = decode_image(content.replace(stated, written), LIMIT)
    assert decoded.tobytes() == palette.convert("RGB").tobytes()


def test_grey_multiplied_by_its_alpha_shows_white_where_it_is_transparent() -> None:
    samples = np.dstack([np.full((40, 61), 100), np.full((40, 61), 255)])
    samples[0, 0] = 0
    decoded = decode_image(tiff(samples, t262=1, t338=1), LIMIT)
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((5, 5)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tiff(GREY, bits=16, t262=1, t339=2), r"signed samples.*SampleFormat 2"),
        (tiff(GREY // 2, bits=8, t262=1, t339=2), r"signed samples.*SampleFormat 2"),
        (tiff(GREY, bits=32, t262=1), r"grey samples of 32 bits.*BitsPerSample 32"),
        (tiff(GREY, bits=32, t262=0), r"grey samples of 32 bits"),
        (tiff(GREY, bits=64, t262=1), r"grey samples of 64 bits"),
        (tiff(GREY, bits=12, t262=0), r"grey samples of 12 bits"),
        (tiff(GREY, bits=12, t262=1, order=">"), r"order that is not read.*BitsPerSample \(12,\)"),
        (tiff(GREY, bits=16, t262=0, order=">"), r"order that is not read.*BitsPerSample \(16,\)"),
        (tiff(GREY, bits=10, t262=1), r"grey samples of 10 bits"),
        (tiff(GREY / 255, bits=32, t262=1, t339=3), r"floating-point samples.*SampleFormat 3"),
        (tiff(RGB / 255, bits=32, t262=2, t339=3), r"floating-point samples"),
        (tiff(GREY / 255, bits=16, t262=1, t339=3), r"floating-point samples"),
        (tiff(GREY, bits=16, t262=1, t339=6), r"complex floating-point samples"),
        (tiff(RGB, bits=16, t262=2, t284=2), r"16 bits in planes.*PlanarConfiguration 2"),
        (tiff(GREY, bits=16, t262=1, t284=2), r"in planes"),
        (tiff(GREY, t262=0, t284=2), r"in planes"),
        (tiff(GREY, t262=1, t284=2, t266=2), r"in planes"),
        (tiff(GREY, t262=0, t266=2), r"FillOrder 2"),
        (tiff(RGB, t262=8), r"CIELab pixels.*PhotometricInterpretation 8"),
        (tiff(RGB, t262=6), r"YCbCrSubSampling"),
        (tiff(GREY, bits=16, t262=32803), r"colour filter array"),
        (tiff(RGB, t262=2, t254=1), r"begins with a reduced picture.*NewSubfileType 1"),
        (tiff(RGB, t262=2, t255=2), r"begins with a reduced picture.*SubfileType 2"),
        (tiff(GREY % 2, bits=1, t262=4, t254=4), r"a mask of another picture"),
        (tiff(np.dstack([RGB, RGB[..., 0]]), t262=5, t332=2), r"other inks than CMYK.*InkSet 2"),
    ],
)
def test_what_is_not_read_as_it_shows_is_named(content: bytes, words: str) -> None:
    with pytest.raises(Problem, match=f"This TIFF .*{words}") as caught:
        decode_image(content, LIMIT)
    assert caught.value.code == "invalid_image"


def test_channels_of_several_depths_are_named() -> None:
    content = tiff(RGB, t262=2)
    depths = struct.pack("<3I", 8, 8, 8)
    with pytest.raises(Problem, match="RGB samples of 5, 6 bits"):
        decode_image(content.replace(depths, struct.pack("<3I", 5, 6, 5)), LIMIT)


def test_a_tiff_whose_tags_cannot_be_read_is_damaged() -> None:
    with pytest.raises(Problem, match="damaged"):
        decode_image(encode(quadrants(), "TIFF")[:30], LIMIT)
