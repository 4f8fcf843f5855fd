"""Boxes on a model's input back in the photo's pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Placement:
    """Where a photo of ``width`` x ``height`` lies on the input.

    scale_x, scale_y: the photo's there, as a multiple of its own size. left, top: its corner, in
    pixels of the input; negative where a crop cuts it off.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: int = 0
    top: int = 0

    def apply(self, xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes [D, 4] in the photo's pixels -> boxes on the input."""
        corner = np.array([self.left, self.top] * 2, dtype=np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        boxes: npt.NDArray[np.float32] = (xyxy * scale + corner).astype(np.float32)
        return boxes

    def undo(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes [D, 4] or contours [D, V, 2] on the input -> the same in the photo's pixels,
        clipped to it."""
        times = points.shape[-1] // 2
        corner = np.array([self.left, self.top] * times, dtype=np.float32)
        scale = np.array([self.scale_x, self.scale_y] * times, dtype=np.float32)
        limit = np.array([self.width, self.height] * times, dtype=np.float32)
        undone: npt.NDArray[np.float32] = np.clip((points - corner) / scale, 0, limit)
        return undone
