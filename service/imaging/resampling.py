"""Resizing with a filter as wide as the pixels that come together (antialiased).

Pillow's arithmetic in fixed point, by vector instructions: a fifth of its time, which is more than
that of decoding a small JPEG. A value may come out one off Pillow's where a pass rounds it, and
more at bright edges, where bicubic weights overshoot and the passes in another order are cut
elsewhere (docs/operations.md). Where there is no build of the library, or a caller wants values to
the last bit, Pillow does it.
"""

from PIL import Image

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # Linux on ARM, for one
    Resizer = None

Box = tuple[float, float, float, float]


def resample(
    image: Image.Image,
    size: tuple[int, int],
    method: Image.Resampling,
    box: Box,
    *,
    exact: bool = False,
) -> Image.Image:
    """The part ``box`` (left, top, right, bottom in pixels) of RGB ``image``, resized to ``size``.

    exact: whether Pillow resizes it.
    """
    if exact or Resizer is None:
        return image.resize(size, method, box=box)
    left, top, right, bottom = box
    options = ResizeOptions(
        resize_alg=ResizeAlg.convolution(_FILTERS[method]),
        use_alpha=False,
        crop_box=CropBox(left, top, right - left, bottom - top),
    )
    resized = Image.new("RGB", size)
    Resizer().resize_pil(image, resized, options)
    return resized


if Resizer is not None:
    _FILTERS = {
        Image.Resampling.BILINEAR: FilterType.bilinear,
        Image.Resampling.BICUBIC: FilterType.catmull_rom,  # Pillow's: Keys' with a = -1/2
    }
