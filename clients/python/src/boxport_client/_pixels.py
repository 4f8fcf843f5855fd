"""The pixels of pictures and arrays, as the service makes them of a file: upright, in 8 bits.

What the service does to the same photo's file is done here too, because a PNG or JPEG that is made
of a picture cannot say it: which of the depths a value has, and how a file turns its pixels.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from boxport_client._errors import PhotoError
from boxport_client._tiff import check_tiff, grey_scale

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations whose width is stored as height
TRANSPARENT_MODES = frozenset({"LA", "RGBA"})
PLAIN_MODES = frozenset({"L", "RGB"}) | TRANSPARENT_MODES
BEHIND_TRANSPARENCY = (255, 255, 255)
WHITE = 255
GREY_STEPS = {"L;2": 85, "L;4": 17}  # of Pillow's raw modes: from one level of grey to the next
MOST_16 = 65535
STEP_16 = 257  # from one of 256 levels to the next, in 16 bits


def upright(picture: Image.Image) -> Image.Image:
    """``picture`` turned by its EXIF orientation; itself if there is nothing to turn."""
    _settle(picture)
    if _orientation(picture) == 1:
        return picture
    with suppress(Exception):  # damaged EXIF data says nothing of the pixels
        return ImageOps.exif_transpose(picture)
    return picture


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) of `upright`; a JPEG is not decoded for it."""
    _settle(picture)
    return picture.size[::-1] if _orientation(picture) in SIDEWAYS else picture.size


def plain(picture: Image.Image) -> Image.Image:
    """``picture`` as 8-bit grey or RGB, either with alpha or not; itself if it is that already.

    Raises PhotoError for floating-point pictures, and what Pillow raises on damaged files.
    """
    mode = picture.mode
    if mode == "I" or mode.startswith("I;16"):
        return _from_16_bits(picture)
    if mode == "F":
        raise PhotoError(
            "floating-point pictures have no known range of brightness; convert it to 8 bits"
        )
    if picture.has_transparency_data:
        picture.load()
        if _has_idle_alpha(picture):
            return picture.convert("RGB")
        if mode == "La":
            return picture.convert("LA")
        return picture if mode in TRANSPARENT_MODES else picture.convert("RGBA")
    if mode in PLAIN_MODES:
        return picture
    return picture.convert("L" if mode == "1" else "RGB")


def opaque(picture: Image.Image) -> Image.Image:
    """A plain picture in RGB, white where it is transparent; itself if it is RGB."""
    if picture.mode in TRANSPARENT_MODES:
        canvas = Image.new("RGBA", picture.size, BEHIND_TRANSPARENCY)
        picture = Image.alpha_composite(canvas, picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def from_array(given: Any) -> Image.Image:
    """An array of [height, width], grey, or [height, width, 3], RGB, as a plain picture.

    Of bool, uint8 or uint16, in any byte order and memory layout; grey also of int32 that holds 16
    bits, as Pillow's mode "I" does.

    Raises PhotoError.
    """
    import numpy as np  # which whoever has an array has

    try:
        array = np.asarray(given)
    except Exception as error:  # such as that of a tensor on a GPU
        raise PhotoError(f"a {type(given).__name__} is no array here: {error}") from error
    is_grey = array.ndim == 2
    if array.size == 0 or not (is_grey or (array.ndim == 3 and array.shape[2] == 3)):
        raise _no_photo(array)
    return Image.fromarray(np.ascontiguousarray(_in_8_bits(array, is_grey)))


def _in_8_bits(array: npt.NDArray[Any], is_grey: bool) -> npt.NDArray[np.uint8]:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if (kind, size) == ("u", 1):
        return array
    if kind == "b":
        return array.astype("uint8") * WHITE
    if is_grey and (kind, size) in (("u", 2), ("i", 4)):
        return (array.clip(0, MOST_16) // STEP_16).astype("uint8")
    if (kind, size) == ("u", 2):  # as Pillow reads 16 bits a channel
        return (array >> 8).astype("uint8")
    raise _no_photo(array)


def _no_photo(array: npt.NDArray[Any]) -> PhotoError:
    hint = "; scale it to 0..255 and convert it to uint8" if array.dtype.kind == "f" else ""
    return PhotoError(
        "an array must be uint8 or uint16, [height, width, 3] in RGB or [height, width];"
        f" this one is {array.dtype} {list(array.shape)}{hint}"
    )


def _settle(picture: Image.Image) -> None:
    """Decode those files whose size, or whose transparent colour, changes when that is done.

    Pillow turns a TIFF when it decodes it. PNG may state one colour that is transparent, in the
    depth that the file has: it is brought to the depth that the pixels are decoded to.
    """
    if isinstance(picture, TiffImageFile):
        check_tiff(picture.tag_v2)
        picture.load()
    if not isinstance(picture, PngImageFile) or not picture.tile:
        return
    stated, raw_mode = picture.info.get("transparency"), picture.tile[0][3]
    if isinstance(stated, int) and raw_mode in GREY_STEPS:
        picture.info["transparency"] = stated * GREY_STEPS[raw_mode]
        picture.load()
    elif isinstance(stated, tuple) and raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in stated)
        picture.load()


def _orientation(picture: Image.Image) -> int:
    with suppress(Exception):  # damaged EXIF data
        orientation = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
        if 1 <= orientation <= 8:
            return orientation
    return 1


def _has_idle_alpha(picture: Image.Image) -> bool:
    """Windows writes bitmaps of 32 bits whose fourth byte nobody has set, and calls it alpha."""
    return picture.format == "BMP" and picture.getchannel("A").getextrema() == (0, 0)


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """0..65535 -> 0..255; Pillow's own conversion cuts every value above 255 to white, and drops a
    transparent value. A TIFF may have 12 bits, or its white at 0."""
    table = _levels(0, MOST_16)
    if isinstance(picture, TiffImageFile):
        table = _levels(*grey_scale(picture.tag_v2))
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int) and 0 <= transparent < len(table):
        table = [*table[:transparent], WHITE, *table[transparent + 1 :]]
    grey = picture.convert("I").point(table, "L")
    grey.info.pop("transparency", None)
    return grey


@cache
def _levels(black: int, white: int) -> list[int]:
    """The level in 8 bits of each value in 16, of which two show black and white."""
    values = (min(value, max(black, white)) for value in range(MOST_16 + 1))
    return [(value - black) * WHITE // (white - black) for value in values]
