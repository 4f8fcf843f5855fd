"""A photo as the model's input."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.imaging.input_spec import (
    CentreCrop,
    InputSpec,
    Letterbox,
    ShorterSide,
    Stretch,
    WholeInput,
)
from service.imaging.placement import Placement

try:
    from cykooz_resizer import (
        Algorithm,
        CropBox,
        FilterType,
        ResizeAlg,
        ResizeOptions,
        Resizer,
    )
except ImportError:  # Linux on ARM, for one
    Resizer = None

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

BAND_PIXELS = 2**19  # that are turned or copied at once
SPARE = 2  # least size of a decoded photo, as a multiple of its size on the input
ROUNDING = 1e-6  # pixels; tolerance for float rounding before a side is cut to whole pixels
Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class ModelInput:
    """``pixels`` uint8 [H, W, 3], RGB; ``placement`` is that of the photo it was made of."""

    pixels: npt.NDArray[np.uint8]
    placement: Placement


@dataclass(frozen=True)
class Photo:
    """An upright RGB photo of ``width`` x ``height``, which may have been decoded smaller.

    image: its pixels. shrink: the factor by which it was decoded smaller.
    left, top: where the photo begins, in pixels of ``image``; less than one pixel.
    exact: whether it is to be resized by Pillow (`resample`).
    """

    image: Image.Image
    width: int
    height: int
    shrink: int = 1
    left: float = 0.0
    top: float = 0.0
    exact: bool = False

    @property
    def size(self) -> Size:
        return self.width, self.height

    def resize(self, sides: Size, method: Image.Resampling, box: Box) -> Image.Image:
        """The part ``box``, left, top, right, bottom in the photo's pixels, as ``sides``."""
        left, top, right, bottom = (side / self.shrink for side in box)
        inner = (
            left + self.left,
            top + self.top,
            min(right + self.left, self.image.width),  # what is added may be rounded up
            min(bottom + self.top, self.image.height),
        )
        return resample(self.image, sides, method, inner, exact=self.exact)


def to_input(
    photo: Photo | Image.Image, spec: InputSpec | None, *, exact: bool = False
) -> ModelInput:
    """An RGB photo as an input of ``spec``; without one, the photo as it is.

    exact: whether Pillow resizes it.
    """
    if isinstance(photo, Image.Image):
        photo = Photo(photo, *photo.size)
    if spec is None:
        return ModelInput(_pixels(photo.image), Placement(*photo.size, 1.0, 1.0))
    photo = replace(photo, exact=exact)
    if isinstance(spec, CentreCrop):
        image, placement = _centre_crop(photo, spec)
    else:
        image, placement = _place(photo, spec)
    return ModelInput(np.asarray(image, dtype=np.uint8), placement)


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Those of an RGB image, some rows at a time: Pillow's own copies are of all of them."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def least_size(size: Size, spec: InputSpec | None) -> Size:
    """The least size that a photo of ``size`` may be decoded to without a visible effect.

    That is `SPARE` times the size at which the model reads it, so that the resize has pixels to
    average; a resize without antialias reads single pixels, and needs all of them, and so does who
    wants the photo itself (no ``spec``).
    """
    if spec is None or (isinstance(spec, WholeInput) and not spec.antialias):
        return size
    scale = SPARE * max(_nominal_scale(size, spec), _nominal_scale(size[::-1], spec))
    return min(size[0], math.ceil(scale * size[0])), min(size[1], math.ceil(scale * size[1]))


def input_size(size: Size, spec: InputSpec | None) -> Size:
    """Width and height of the input that is made of a photo of ``size``; see `to_input`."""
    if spec is None:
        return size
    if not isinstance(spec, ShorterSide):
        return spec.width, spec.height
    width, height = (-(-side // spec.divisor) * spec.divisor for side in _scaled_size(size, spec))
    return width, height


def _scaled_size(size: Size, spec: WholeInput) -> Size:
    """Of the photo on its input, in whole pixels.

    They are cut as in the published networks' training, but rounded where the photo is centred, as
    Ultralytics' `LetterBox` does.
    """
    if isinstance(spec, Stretch):
        return spec.width, spec.height
    scale = _nominal_scale(size, spec)
    whole = round if _is_centred(spec) else _cut
    width, height = (max(1, whole(side * scale)) for side in size)
    return width, height


def _cut(side: float) -> int:
    return int(side + ROUNDING)


def _is_centred(spec: WholeInput) -> bool:
    return isinstance(spec, Letterbox) and spec.anchor == "centre"


def _nominal_scale(size: Size, spec: InputSpec) -> float:
    """Of the photo on its input; of a stretched one, that of the side that keeps most pixels."""
    match spec:
        case Stretch():
            return max(spec.width / size[0], spec.height / size[1])
        case Letterbox():
            return min(spec.width / size[0], spec.height / size[1])
        case ShorterSide():
            return min(spec.shorter_side / min(size), spec.longer_side / max(size))
        case CentreCrop():
            return spec.shorter_side / min(size)


def _place(photo: Photo, spec: WholeInput) -> tuple[Image.Image, Placement]:
    """The whole photo on its input, and what it leaves empty filled.

    The scale to undo is that of the whole pixels: the nominal one would shift boxes by up to one.
    """
    width, height = sides = _scaled_size(photo.size, spec)
    image, left, top = _resize(photo, sides, spec), 0, 0
    if not isinstance(spec, Stretch):
        canvas = Image.new("RGB", input_size(photo.size, spec), spec.fill)
        if _is_centred(spec):
            left, top = _half(canvas.width - width), _half(canvas.height - height)
        canvas.paste(image, (left, top))
        image = canvas
    scales = width / photo.width, height / photo.height
    return image, Placement(*photo.size, *scales, left, top)


def _half(empty: int) -> int:
    """Pixels before the photo, of those that it leaves empty; an odd one lies behind it, as in
    Ultralytics' `LetterBox`."""
    return round(empty / 2 - 0.1)


def _resize(photo: Photo, sides: Size, spec: WholeInput) -> Image.Image:
    if spec.antialias:
        return photo.resize(sides, RESAMPLING[spec.interpolation], (0, 0, *photo.size))
    if photo.exact or Resizer is None:
        mixed = interpolate(np.asarray(photo.image), *sides)
        return Image.fromarray((mixed + np.float32(0.5)).astype(np.uint8))
    return _by_vectors(photo.image, sides, resize_alg=_Nearest())


def interpolate(pixels: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.float32]:
    """``pixels`` [H, W, 3] as float32 [height, width, 3], bilinear between the four nearest, as
    torch.nn.functional.interpolate does it; not rounded.

    Pillow's resize smooths what it makes smaller, and its affine transform does not round.
    Vector instructions do it in a tenth of the time or less, a value one off where a pass rounds.
    """
    mixed: npt.NDArray[Any] = pixels
    axes = {0: height, 1: width}
    # what shrinks most goes first, so that nothing larger than need be is ever held
    for axis in sorted(axes, key=lambda axis: axes[axis] / pixels.shape[axis]):
        mixed = _interpolate_axis(mixed, axis, axes[axis])
    return mixed.astype(np.float32, copy=False)


def _interpolate_axis(values: npt.NDArray[Any], axis: int, scaled: int) -> npt.NDArray[Any]:
    """``values`` with ``scaled`` places along ``axis``, each between its two neighbours."""
    side = values.shape[axis]
    centre = np.clip((np.arange(scaled) + 0.5) * (side / scaled) - 0.5, 0, side - 1)
    first = np.floor(centre).astype(np.intp)
    share = (centre - first).astype(np.float32)
    share = np.expand_dims(share, tuple(i for i in range(values.ndim) if i != axis))
    before = np.take(values, first, axis)
    after = np.take(values, np.minimum(first + 1, side - 1), axis)
    mixed: npt.NDArray[Any] = before * (1 - share) + after * share
    return mixed


def _centre_crop(photo: Photo, spec: CentreCrop) -> tuple[Image.Image, Placement]:
    """Scale the shorter side to ``spec.shorter_side`` and cut the middle out.

    Sides are cut to whole pixels and the crop's corner is rounded, both as torchvision does: half a
    pixel's difference shows in the scores.
    """
    width, height = (int(spec.shorter_side * side / min(photo.size)) for side in photo.size)
    left, top = round((width - spec.width) / 2), round((height - spec.height) / 2)
    scale_x, scale_y = width / photo.width, height / photo.height
    # Only what the crop keeps is computed: a panorama would otherwise be resized as a whole.
    region = (
        left / scale_x,
        top / scale_y,
        (left + spec.width) / scale_x,
        (top + spec.height) / scale_y,
    )
    crop = photo.resize((spec.width, spec.height), RESAMPLING[spec.interpolation], region)
    return crop, Placement(*photo.size, scale_x, scale_y, -left, -top)


def resample(
    image: Image.Image,
    size: Size,
    method: Image.Resampling,
    box: Box,
    *,
    exact: bool = False,
) -> Image.Image:
    """The part ``box`` (left, top, right, bottom in pixels) of RGB ``image``, resized to ``size``.

    A filter as wide as the pixels that come together (antialiased): Pillow's arithmetic in fixed
    point, by vector instructions, in a fifth of its time, which is more than that of decoding a
    small JPEG. A value may come out one off Pillow's where a pass rounds it, and more at bright
    edges, where bicubic weights overshoot and the passes in another order are cut elsewhere
    (docs/operations.md). Where there is no build of the library, Pillow does it.

    exact: whether Pillow resizes it, for values to the last bit.
    """
    if exact or Resizer is None:
        return image.resize(size, method, box=box)
    left, top, right, bottom = box
    return _by_vectors(
        image,
        size,
        resize_alg=ResizeAlg.convolution(_FILTERS[method]),
        crop_box=CropBox(left, top, right - left, bottom - top),
    )


def _by_vectors(image: Image.Image, size: Size, **options: Any) -> Image.Image:
    resized = Image.new("RGB", size)
    Resizer().resize_pil(image, resized, ResizeOptions(use_alpha=False, **options))
    return resized


if Resizer is not None:

    class _Nearest(ResizeAlg):  # type: ignore[misc]
        """Bilinear between the four nearest pixels, to one of `interpolate`: the library has it,
        and no name for it."""

        algorithm = Algorithm.interpolation
        filter_type = FilterType.bilinear

    _FILTERS = {
        Image.Resampling.BILINEAR: FilterType.bilinear,
        Image.Resampling.BICUBIC: FilterType.catmull_rom,  # Pillow's: Keys' with a = -1/2
    }
