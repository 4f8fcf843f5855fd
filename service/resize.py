"""A photo as the model's input, and boxes on that input back in the photo's pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.manifest import InputSpec

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Placement:
    """Where a photo of ``width`` x ``height`` lies on the input: scaled, in the top left corner."""

    width: int
    height: int
    scale_x: float
    scale_y: float

    def undo(self, xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes [D, 4] on the input -> boxes in the photo's pixels, clipped to it."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        limit = np.array([self.width, self.height] * 2, dtype=np.float32)
        boxes: npt.NDArray[np.float32] = np.clip(xyxy / scale, 0, limit)
        return boxes


@dataclass(frozen=True)
class ModelInput:
    """``pixels`` uint8 [H, W, 3], RGB; ``placement`` is that of the photo it was made of."""

    pixels: npt.NDArray[np.uint8]
    placement: Placement


def to_input(photo: Image.Image, spec: InputSpec) -> ModelInput:
    """Resize an RGB photo as ``spec`` says."""
    resized = _letterbox(photo, spec) if spec.resize == "letterbox" else _centre_crop(photo, spec)
    image, scale_x, scale_y = resized
    placement = Placement(photo.width, photo.height, scale_x, scale_y)
    return ModelInput(np.asarray(image, dtype=np.uint8), placement)


def _letterbox(photo: Image.Image, spec: InputSpec) -> tuple[Image.Image, float, float]:
    """Fit the photo into the top left corner and fill the rest."""
    scale = min(spec.width / photo.width, spec.height / photo.height)
    width, height = (max(1, round(side * scale)) for side in photo.size)
    resized = photo.resize((width, height), RESAMPLING[spec.interpolation])
    canvas = Image.new("RGB", (spec.width, spec.height), spec.fill)
    canvas.paste(resized)
    return canvas, width / photo.width, height / photo.height


def _centre_crop(photo: Image.Image, spec: InputSpec) -> tuple[Image.Image, float, float]:
    """Scale the shorter side to ``spec.shorter_side`` and cut the middle out.

    Sides are cut to whole pixels and the crop's corner is rounded, both as torchvision does: half a
    pixel's difference shows in the scores.
    """
    assert spec.shorter_side is not None  # the manifest's own check
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
    crop = photo.resize((spec.width, spec.height), RESAMPLING[spec.interpolation], box=region)
    return crop, scale_x, scale_y
