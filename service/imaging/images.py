"""Bytes of an image file -> upright 8-bit RGB -> what a model reads.

Everything that can be known from the header is checked before any pixel is decoded.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import AvifImagePlugin, ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.AvifImagePlugin import AvifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.imaging import tiff
from service.imaging.cost import decoding_bytes
from service.imaging.formats import FORMATS, unknown_image
from service.imaging.input_spec import InputSpec
from service.imaging.resize import BAND_PIXELS, ModelInput, Photo, least_size, to_input
from service.imaging.structure import ImageFile, examine
from service.problems import Problem

STATING_FRAMES = ("PNG", "WEBP", "AVIF")  # formats whose header says how many there are
# EXIF orientations that swap width and height, and those that put the stored right side or bottom
# at the left or the top.
SIDEWAYS = (5, 6, 7, 8)
FROM_LEFT = (2, 3, 6, 7)
FROM_TOP = (3, 4, 7, 8)
BEHIND_TRANSPARENCY = (255, 255, 255)
GREY_STEPS = {"L;2": 85, "L;4": 17}  # of Pillow's raw modes: from one level of grey to the next
HoldMemory = Callable[[int], AbstractContextManager[None]]

# Pillow warns of damage it gets over, once for each tag: a caller could fill the log with it.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
Image.MAX_IMAGE_PIXELS = None  # only a warning; the limit that refuses is `max_pixels` below
# By itself it is as many as processors: one image would have them all, and be told to be damaged
# where the system has no room for another thread.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True)
class DecodeOptions:
    """How a model's images are decoded; the fields are those of the settings.

    spec: None for the photo itself, upright and whole.
    formats: as `enable_formats` gives them.
    """

    spec: InputSpec | None
    max_pixels: int
    max_frames: int
    formats: tuple[str, ...]
    reduce: bool
    exact: bool


def decode_input(content: bytes, options: DecodeOptions, hold_memory: HoldMemory) -> ModelInput:
    """What the model reads of an image: `open_image` and `prepare` in one.

    hold_memory: admits an image that takes so many bytes, for as long as it is decoded, or raises.

    Raises Problem if the image is damaged or too large, and what ``hold_memory`` raises.
    """
    file = _examine(content)
    with (
        _open(file, options.max_pixels, options.max_frames, options.formats) as image,
        hold_memory(decoding_bytes(image, file, options.spec, reduce=options.reduce)),
    ):
        return prepare(image, options.spec, reduce=options.reduce, exact=options.exact)


def decode_photo(content: bytes, options: DecodeOptions, hold_memory: HoldMemory) -> Photo:
    """An image itself, upright, at its full size; else as `decode_input`."""
    file = _examine(content)
    with (
        _open(file, options.max_pixels, options.max_frames, options.formats) as image,
        hold_memory(decoding_bytes(image, file, None)),
    ):
        upright = to_rgb(image)
        return Photo(upright, *upright.size)


@contextlib.contextmanager
def open_image(
    content: bytes,
    max_pixels: int,
    max_frames: int = 1000,
    formats: tuple[str, ...] = FORMATS,
) -> Iterator[Image.Image]:
    """Read the header of an image file of one of ``formats``; no pixel is decoded yet.

    Raises Problem with the code empty_image, invalid_image, or image_too_large if the header states
    more than ``max_pixels`` or ``max_frames``.
    """
    with _open(_examine(content), max_pixels, max_frames, formats) as image:
        yield image


def _examine(content: bytes) -> ImageFile:
    if not content:
        raise Problem("empty_image", "The image is empty: 0 bytes were sent.")
    with _damage_refused():
        return examine(content)


@contextlib.contextmanager
def _open(
    file: ImageFile, max_pixels: int, max_frames: int, formats: tuple[str, ...]
) -> Iterator[Image.Image]:
    _check_pixels("image", file.webp_size, max_pixels)
    with _damage_refused():
        try:
            opened = Image.open(BytesIO(file.content), formats=formats)
        except UnidentifiedImageError:
            raise tiff.explain(file.content) or unknown_image(file.content, formats) from None
    with opened as image:
        with _damage_refused():
            _check_size(image, max_pixels)
            _check_frames(image, max_frames)
            if isinstance(image, TiffImageFile):
                tiff.check(image.tag_v2)
        yield image


@contextlib.contextmanager
def _damage_refused() -> Iterator[None]:
    """Whatever damaged bytes lead Pillow to is a Problem; its decoders' exceptions have no common
    base. Nothing but Pillow's work belongs in it: a fault of ours is not the image's."""
    try:
        yield
    except Problem:
        raise
    except MemoryError as error:
        raise Problem("overloaded", "There is no memory to decode the image now.") from error
    except Exception as error:
        raise Problem("invalid_image", f"The image is damaged or cut short: {error}.") from error


def prepare(
    image: Image.Image, spec: InputSpec | None, *, reduce: bool = True, exact: bool = False
) -> ModelInput:
    """An open image decoded, turned upright and resized.

    reduce: whether a large JPEG may be decoded smaller than it is. exact: whether it is to be
    resized by Pillow (`service.imaging.resize.resample`).

    Raises Problem if its bytes are damaged.
    """
    least = least_size(image.size, spec) if reduce else image.size
    return to_input(_decode(image, least), spec, exact=exact)


@_damage_refused()
def to_rgb(image: Image.Image) -> Image.Image:
    """Decode the first frame of an open image, turned as its EXIF says.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB; transparent parts show white. Raises
    Problem if its bytes are damaged.
    """
    _scale_transparent_colour(image)
    if isinstance(image, TiffImageFile):
        tiff.mend_palette(image)
    image.load()
    if isinstance(image, (WebPImageFile, AvifImageFile)):
        image._decoder = image.fp = None  # they hold more pictures, for the frames to come
    if _orientation_of(image) != 1:
        with contextlib.suppress(Exception):  # what it fails to write of EXIF, nobody reads
            ImageOps.exif_transpose(image, in_place=True)
    return _to_rgb(image)


def decode_image(content: bytes, max_pixels: int) -> Image.Image:
    """`open_image` and `to_rgb` in one; raises Problem as the first does."""
    with open_image(content, max_pixels) as image:
        return to_rgb(image)


@_damage_refused()
def _decode(image: Image.Image, least: tuple[int, int]) -> Photo:
    """A photo, turned upright; a JPEG at a half, a quarter or an eighth of its size, as long as no
    side falls below ``least`` (width, height as stored).

    The decoder leaves out the high frequencies of each block of 8 x 8 pixels, which gives about the
    average of its pixels in a fraction of the time. If a side is not a multiple of the reduction,
    the last decoded pixel along it stands for fewer of the photo's pixels than the others; in a
    photo that EXIF turns it can be the first.
    """
    orientation, size, shrink = _orientation_of(image), image.size, 1
    if isinstance(image, JpegImageFile) and image.draft(None, least) is not None:
        shrink, _ = image.decoderconfig  # of a narrow photo the sides tell it no more
    upright = to_rgb(image)
    if shrink == 1:
        return Photo(upright, *upright.size)
    if orientation in SIDEWAYS:
        size = size[::-1]
    return Photo(
        upright,
        *size,
        shrink,
        left=upright.width - size[0] / shrink if orientation in FROM_LEFT else 0.0,
        top=upright.height - size[1] / shrink if orientation in FROM_TOP else 0.0,
    )


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height that an open image has once it is turned as its header says."""
    width, height = image.size
    return (height, width) if _orientation_of(image) in SIDEWAYS else (width, height)


def _orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an open image, 1 to 8; 1 (upright) if none can be read.

    A PNG may state it behind its pixels, and Pillow turns a TIFF as it decodes it: of those two it
    is right only then.
    """
    with contextlib.suppress(Exception):  # damaged EXIF data says nothing of the pixels
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if isinstance(orientation, int) and 1 <= orientation <= 8:
            return orientation
    return 1


def _check_size(image: Image.Image, max_pixels: int) -> None:
    _check_pixels("image", image.size, max_pixels)
    if isinstance(image, TiffImageFile):
        _check_pixels("image's tile", tiff.tile_size(image.tag_v2), max_pixels)


def _check_pixels(what: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise Problem(
            "image_too_large",
            f"The {what} has {width} x {height} = {width * height} pixels;"
            f" at most {max_pixels} are accepted.",
        )


def _check_frames(image: Image.Image, max_frames: int) -> None:
    """GIF and TIFF do not state how many they have, and what is never read cannot hurt."""
    frames = getattr(image, "n_frames", 1) if image.format in STATING_FRAMES else 1
    if frames > max_frames:
        raise Problem(
            "image_too_large",
            f"The image has {frames} frames; at most {max_frames} are accepted.",
        )


def _scale_transparent_colour(image: Image.Image) -> None:
    """PNG may state one colour that is transparent, in the depth that the file has: bring it to the
    depth that its pixels are decoded to."""
    stated = image.info.get("transparency")
    raw_mode = image.tile[0].args if isinstance(image, PngImageFile) and image.tile else None
    if isinstance(stated, int) and raw_mode in GREY_STEPS:
        image.info["transparency"] = stated * GREY_STEPS[raw_mode]
    elif isinstance(stated, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in stated)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        black, white = 0, 65535
        if isinstance(image, TiffImageFile):
            black, white = tiff.grey_scale(image.tag_v2)
        return _in_bands(image, lambda band: _from_16_bits(band, black, white))
    if image.has_transparency_data and not _has_idle_alpha(image):
        return _in_bands(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_bands(image: Image.Image, turn: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """What ``turn`` makes of ``image``, some rows at a time: its own copies would be the most that
    decoding takes."""
    turned = Image.new("RGB", image.size)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        turned.paste(turn(image.crop(box)), box)
    return turned


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # grey that was multiplied by its alpha: Pillow goes by this way alone
        image = image.convert("LA")
    layer = image.convert("RGBA")
    canvas = Image.new("RGBA", layer.size, BEHIND_TRANSPARENCY)
    return Image.alpha_composite(canvas, layer).convert("RGB")


def _has_idle_alpha(image: Image.Image) -> bool:
    """Windows writes bitmaps of 32 bits whose fourth byte nobody has set, and calls it alpha; as it
    and the browsers do, take a bitmap that would be invisible as opaque."""
    return image.format == "BMP" and image.getchannel("A").getextrema() == (0, 0)


def _from_16_bits(image: Image.Image, black: int, white: int) -> Image.Image:
    """``black``..``white`` -> 0..255; Pillow's own conversion would cut every value above 255 to
    white, and drop a transparent value."""
    values = np.asarray(image).astype(np.int32).clip(0, max(black, white))
    grey = ((values - black) * 255 // (white - black)).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = BEHIND_TRANSPARENCY[0]
    return Image.fromarray(grey).convert("RGB")
