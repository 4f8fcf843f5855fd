"""The parts of a photo that boxes mark, as models read them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.imaging.input_spec import InputSpec, ShorterSide, Stretch
from service.imaging.resize import Box, ModelInput, Photo, Size, to_input
from service.parameters import RegionResize
from service.problems import Problem


@dataclass(frozen=True)
class Context:
    """How regions are cut out.

    padding: what is added on each side, as a share of the region's width or height; the photo's
        edge ends it.
    resize: "model" as the model resizes a whole photo; "warp" each side to the input's, whatever
        that does to the shape.

    Both are those of R-CNN (Girshick et al. 2014, appendix A), which warps, and adds 16 pixels to
    each side of an input of 227: a padding of 16 / (227 - 2 * 16) = .082. Beyond the photo it
    paints the mean colour; here there is nothing.
    """

    padding: float = 0.0
    resize: RegionResize = "model"


AS_THEY_ARE = Context()


def clip(box: Box, size: Size) -> Box:
    """What of ``box`` lies within a photo of ``size``; raises Problem if nothing does."""
    left, top, right, bottom = box
    width, height = map(float, size)
    clipped = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        shown = ",".join(f"{side:g}" for side in box)
        raise Problem(
            "region_outside",
            f"The region {shown} lies outside the image of {size[0]} x {size[1]} pixels.",
        )
    return clipped


def cut(
    photo: Photo, boxes: Sequence[Box], spec: InputSpec, context: Context, *, exact: bool = False
) -> list[ModelInput]:
    """Each of ``boxes`` of a photo, which has its full size, as an input of ``spec``.

    boxes: xyxy in the photo's pixels, within it. exact: whether Pillow resizes (`to_input`).
    """
    if context.resize == "warp":
        spec = warped(spec)
    inputs = []
    for box in boxes:
        part = photo.image.crop(pixels_of(box, photo.size, context.padding))
        inputs.append(to_input(part, spec, exact=exact))
    return inputs


def pixels_of(box: Box, size: Size, padding: float = 0.0) -> tuple[int, int, int, int]:
    """First column and row, and those after the last, of the pixels that ``box`` touches, with
    ``padding`` of its sides added on each side: at least one, and none outside the photo."""
    left, top, right, bottom = box
    width, height = size
    x, y = padding * (right - left), padding * (bottom - top)
    first_x, first_y = max(0, math.floor(left - x)), max(0, math.floor(top - y))
    last_x, last_y = min(math.ceil(right + x), width), min(math.ceil(bottom + y), height)
    return first_x, first_y, last_x, last_y


def warped(spec: InputSpec) -> Stretch:
    """``spec`` with each side scaled by itself, so that nothing is cut off or left empty."""
    width, height = spec.width, spec.height
    if isinstance(spec, ShorterSide):  # these are upper bounds; what it makes of a square
        width = height = -(-spec.shorter_side // spec.divisor) * spec.divisor
    return Stretch(
        width=width,
        height=height,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        channel_order=spec.channel_order,
        scale=spec.scale,
        antialias=getattr(spec, "antialias", True),
    )
