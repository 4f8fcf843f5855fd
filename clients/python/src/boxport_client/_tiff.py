"""What the tags of a TIFF say of its samples, which Pillow unpacks in some kinds as if they were
others: signed ones as unsigned, 12 bits as the low ones of 16, planes of 16 bits by the byte.

The same kinds are refused as by the service, which says more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxport_client._errors import PhotoError

Tags = Mapping[int, Any]

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 258, 259, 262, 266
SAMPLES_PER_PIXEL, PLANAR_CONFIGURATION, INK_SET = 277, 284, 332
SAMPLE_FORMAT, SUBSAMPLING = 339, 530

WHITE_IS_ZERO, GREY, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
DEPTHS = {  # bits of a sample that are read, by the photometric interpretation
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    GREY: (1, 2, 4, 8, 12, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8, 16),
    YCBCR: (8,),
}


def check_tiff(tags: Tags) -> None:
    """Raise PhotoError if Pillow does not read the picture that ``tags`` are of as it shows."""
    fault = _fault(tags)
    if fault is not None:
        raise PhotoError(
            f"this TIFF is not read as it shows ({fault}): save it as RGB or grey of 8 or 16 bits"
        )


def grey_scale(tags: Tags) -> tuple[int, int]:
    """The values of a grey sample that show black and white."""
    largest = int(2 ** _numbers(tags, BITS_PER_SAMPLE, 1)[0] - 1)
    return (largest, 0) if _number(tags, PHOTOMETRIC, 0) == WHITE_IS_ZERO else (0, largest)


def _fault(tags: Tags) -> str | None:
    """The tag that is at fault, with its value."""
    subfile, old_subfile = _number(tags, NEW_SUBFILE_TYPE, 0), _number(tags, SUBFILE_TYPE, 1)
    if subfile & 5:  # a reduced picture of another, or a mask
        return f"NewSubfileType {subfile}"
    if subfile == 0 and old_subfile == 2:
        return f"SubfileType {old_subfile}"
    for kind in _numbers(tags, SAMPLE_FORMAT, 1):
        if kind != 1:
            return f"SampleFormat {kind}"
    photometric, bits = _number(tags, PHOTOMETRIC, 0), _numbers(tags, BITS_PER_SAMPLE, 1)
    if photometric not in DEPTHS:
        return f"PhotometricInterpretation {photometric}"
    if len(set(bits)) > 1 or bits[0] not in DEPTHS[photometric]:
        return f"BitsPerSample {', '.join(map(str, dict.fromkeys(bits)))}"
    if photometric == CMYK and (inks := _number(tags, INK_SET, 1)) != 1:
        return f"InkSet {inks}"
    return _fault_of_order(tags, photometric, bits[0])


def _fault_of_order(tags: Tags, photometric: int, depth: int) -> str | None:
    """The same for orders of samples: libtiff, which reads compressed ones, knows more of them."""
    is_one, is_raw = _number(tags, SAMPLES_PER_PIXEL, 1) == 1, _number(tags, COMPRESSION, 1) == 1
    inverted = photometric == WHITE_IS_ZERO
    in_planes = _number(tags, PLANAR_CONFIGURATION, 1) == 2 and (is_raw or not is_one)
    reversed_bits = _number(tags, FILL_ORDER, 1) == 2 and is_raw
    if in_planes and (depth != 8 or inverted or reversed_bits):
        return "PlanarConfiguration 2"
    if reversed_bits and depth == 8 and inverted:
        return "FillOrder 2"
    simple = _numbers(tags, SUBSAMPLING, 2) == (1, 1) and not in_planes
    if photometric == YCBCR and is_raw and not is_one and not simple:
        return "YCbCrSubSampling"
    return None


def _number(tags: Tags, tag: int, default: int) -> int:
    return _numbers(tags, tag, default)[0]


def _numbers(tags: Tags, tag: int, default: int) -> tuple[int, ...]:
    value = tags.get(tag, default)
    numbers: tuple[int, ...] = value if isinstance(value, tuple) and value else (value,)
    return numbers
