"""What the tags of a TIFF say of its samples.

Pillow unpacks some kinds of TIFF as if they were others: signed samples as unsigned ones, 12 bits
as the low ones of 16, the planes of 16 bits by the byte. What is not known to come out as it shows
is refused here, by name.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import ImagePalette
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2, TiffImageFile

from service.problems import Problem

Tags = Mapping[int, Any]

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 258, 259, 262, 266
SAMPLES_PER_PIXEL, PLANAR_CONFIGURATION, INK_SET = 277, 284, 332
SAMPLE_FORMAT, SUBSAMPLING = 339, 530
COLOUR_MAP, TILE_WIDTH, TILE_LENGTH = 320, 322, 323

WHITE_IS_ZERO, GREY, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
DEPTHS = {  # bits of a sample that are read, by the photometric interpretation
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    GREY: (1, 2, 4, 8, 12, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8, 16),
    YCBCR: (8,),
}
PHOTOMETRICS = {
    WHITE_IS_ZERO: "grey",
    GREY: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    4: "transparency mask",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "colour filter array, as of a raw photo,",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
SAMPLE_FORMATS = {
    2: "signed",
    3: "floating-point",
    4: "undefined",
    5: "complex",
    6: "complex floating-point",
}


def check(tags: Tags) -> None:
    """Raise Problem if the picture that ``tags`` are of is not read as it shows."""
    _check_subfile(tags)
    _check_samples(tags)
    _check_order(tags)


def explain(content: bytes) -> Problem | None:
    """Why a file that Pillow does not know is refused, if it is a TIFF."""
    if content[:4] not in PREFIXES:
        return None
    try:
        check(tags := _read_tags(content))
    except Problem as problem:
        return problem
    except Exception:  # whatever its damaged bytes lead Pillow to
        return Problem("invalid_image", "The TIFF is damaged: its tags cannot be read.")
    stated = {
        "PhotometricInterpretation": _number(tags, PHOTOMETRIC, 0),
        "BitsPerSample": _numbers(tags, BITS_PER_SAMPLE, 1),
        "SamplesPerPixel": _number(tags, SAMPLES_PER_PIXEL, 1),
        "Compression": _number(tags, COMPRESSION, 1),
    }
    return _refused(
        "has samples in an order that is not read",
        ", ".join(f"{name} {value}" for name, value in stated.items()),
    )


def grey_scale(tags: Tags) -> tuple[int, int]:
    """The values of a grey sample that show black and white."""
    largest: int = 2 ** _numbers(tags, BITS_PER_SAMPLE, 1)[0] - 1
    return (largest, 0) if _number(tags, PHOTOMETRIC, 0) == WHITE_IS_ZERO else (0, largest)


def mend_palette(image: TiffImageFile) -> None:
    """Some programs write colours of 8 bits where TIFF has 16: take them as they are meant, before
    the pixels are decoded."""
    colours = _numbers(image.tag_v2, COLOUR_MAP, 0)
    if image.mode in ("P", "PA") and max(colours) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def tile_size(tags: Tags) -> tuple[int, int]:
    """A TIFF of 10 x 10 pixels may be cut out of a tile of any size, which is decoded whole."""
    return _number(tags, TILE_WIDTH, 0), _number(tags, TILE_LENGTH, 0)


def _check_subfile(tags: Tags) -> None:
    new, old = _number(tags, NEW_SUBFILE_TYPE, 0), _number(tags, SUBFILE_TYPE, 1)
    stated = f"NewSubfileType {new}" if new else f"SubfileType {old}"
    if new & 1 or old == 2:
        raise _refused("begins with a reduced picture, as raw photos do", stated)
    if new & 4:
        raise _refused("begins with a mask of another picture", stated)


def _check_samples(tags: Tags) -> None:
    photometric, bits = _number(tags, PHOTOMETRIC, 0), _numbers(tags, BITS_PER_SAMPLE, 1)
    what = PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")
    for number in _numbers(tags, SAMPLE_FORMAT, 1):
        if number != 1:
            kind = SAMPLE_FORMATS.get(number, "unknown")
            raise _refused(
                f"has {kind} samples, of which no range of brightness is known",
                f"SampleFormat {number}",
            )
    if photometric not in DEPTHS:
        raise _refused(f"is of {what} pixels", f"PhotometricInterpretation {photometric}")
    if len(set(bits)) > 1 or bits[0] not in DEPTHS[photometric]:
        depths = ", ".join(map(str, dict.fromkeys(bits)))
        raise _refused(f"has {what} samples of {depths} bits", f"BitsPerSample {depths}")
    if photometric == CMYK and (inks := _number(tags, INK_SET, 1)) != 1:
        raise _refused("is of other inks than CMYK", f"InkSet {inks}")


def _check_order(tags: Tags) -> None:
    """Of samples of a kind that is read: libtiff, which reads compressed ones, knows more orders
    than Pillow, which reads the rest."""
    photometric, depth = _number(tags, PHOTOMETRIC, 0), _number(tags, BITS_PER_SAMPLE, 1)
    is_one, is_raw = _number(tags, SAMPLES_PER_PIXEL, 1) == 1, _number(tags, COMPRESSION, 1) == 1
    inverted = photometric == WHITE_IS_ZERO
    in_planes = _number(tags, PLANAR_CONFIGURATION, 1) == 2 and (is_raw or not is_one)
    reversed_bits = _number(tags, FILL_ORDER, 1) == 2 and is_raw
    if in_planes and (depth != 8 or inverted or reversed_bits):
        raise _refused(f"has samples of {depth} bits in planes", "PlanarConfiguration 2")
    if reversed_bits and depth == 8 and inverted:
        raise _refused("has bits in reverse order, and white as 0", "FillOrder 2")
    simple = _numbers(tags, SUBSAMPLING, 2) == (1, 1) and not in_planes
    if photometric == YCBCR and is_raw and not is_one and not simple:
        raise _refused("has uncompressed YCbCr pixels whose colours lie apart", "YCbCrSubSampling")


def _refused(what: str, tag: str) -> Problem:
    return Problem(
        "invalid_image",
        f"This TIFF {what} ({tag}): save it as RGB or grey of 8 or 16 bits, or as PNG.",
    )


def _read_tags(content: bytes) -> Tags:
    file = BytesIO(content)
    directory = ImageFileDirectory_v2(file.read(16 if content[2] == 43 else 8))
    file.seek(directory.next)
    directory.load(file)
    return directory


def _number(tags: Tags, tag: int, default: int) -> int:
    return _numbers(tags, tag, default)[0]


def _numbers(tags: Tags, tag: int, default: int) -> tuple[int, ...]:
    value = tags.get(tag, default)
    numbers: tuple[int, ...] = value if isinstance(value, tuple) and value else (value,)
    return numbers
