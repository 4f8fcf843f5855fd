"""A photo as a network reads it before its pixels are rounded to 8 bits.

A package's input is 8 bits. Much code of owners', such as torchvision's detectors, resizes floats:
half a grey level less or more, which some networks turn into other detections.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.imaging.files import read_image, read_photo
from service.imaging.input_spec import CentreCrop, InputSpec, Stretch, WholeInput
from service.imaging.resize import ModelInput, interpolate


def read_unrounded(path: Path, spec: InputSpec) -> ModelInput:
    """One photo in float32, where it is resized without antialias; else as Pillow makes it, which
    rounds as the owner's code does. Raises UnreadablePhoto."""
    rounded = read_photo(path, spec, exact=True)
    if isinstance(spec, CentreCrop) or spec.antialias:
        return rounded
    placed = rounded.placement
    width = round(placed.width * placed.scale_x)
    height = round(placed.height * placed.scale_y)
    pixels: npt.NDArray[Any] = np.empty(rounded.pixels.shape, dtype=np.float32)
    pixels[:] = _fill(spec)
    photo = interpolate(np.asarray(read_image(path)), width, height)
    pixels[placed.top : placed.top + height, placed.left : placed.left + width] = photo
    return replace(rounded, pixels=pixels)


def _fill(spec: WholeInput) -> tuple[float, ...]:
    """RGB of what the photo leaves empty: the mean itself, where it is the mean rounded."""
    if isinstance(spec, Stretch):
        return (0.0, 0.0, 0.0)
    mean = [value * spec.unit for value in spec.mean]
    colour = mean[::-1] if spec.channel_order == "bgr" else mean
    near = all(abs(a - b) <= 0.5 for a, b in zip(colour, spec.fill, strict=True))
    return tuple(colour) if near else spec.fill
