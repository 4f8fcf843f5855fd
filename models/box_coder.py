"""Boxes written as offsets from anchors, and back.

The parametrisation of R-CNN (arXiv 1311.2524, appendix C, equations 6-9):

    dx = (gx - ax) / aw     dw = log(gw / aw)
    dy = (gy - ay) / ah     dh = log(gh / ah)

where (x, y) is a centre, (w, h) a size, g the box and a its anchor. Two-stage detectors multiply
centres' and sizes' deltas by a weight each, to bring them to unit variance.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_SIDE = 1e-3  # pixels; keeps the logarithm of a degenerate box finite


def to_centres(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre x, centre y, width and height, each [...], of ``boxes`` [..., 4] in xyxy."""
    left, top, right, bottom = boxes.unbind(-1)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


@dataclass(frozen=True)
class BoxCoder:
    """Encodes xyxy boxes against xyxy anchors as deltas [..., 4], and decodes them.

    ``order`` names the deltas' order in the last axis: "xywh" is (dx, dy, dw, dh), torchvision's;
    "yxhw" is (dy, dx, dh, dw), the one of the EfficientDet checkpoints.
    ``max_log_scale`` bounds dw and dh when decoding, so that an untrained or hostile input cannot
    overflow exp(); None leaves them as they are, as EfficientDet does.
    ``weights`` multiply (dx, dy) and (dw, dh).
    """

    order: str = "xywh"
    max_log_scale: float | None = math.log(1000 / 16)
    weights: tuple[float, float] = (1.0, 1.0)

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas [..., 4] that turn ``anchors`` [..., 4] into ``boxes`` [..., 4]."""
        box_x, box_y, box_w, box_h = to_centres(boxes)
        anchor_x, anchor_y, anchor_w, anchor_h = to_centres(anchors)
        of_centre, of_size = self.weights
        dx = (box_x - anchor_x) / anchor_w * of_centre
        dy = (box_y - anchor_y) / anchor_h * of_centre
        dw = torch.log(box_w.clamp(min=SMALLEST_SIDE) / anchor_w) * of_size
        dh = torch.log(box_h.clamp(min=SMALLEST_SIDE) / anchor_h) * of_size
        return torch.stack(self._arrange(dx, dy, dw, dh), dim=-1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [..., 4] in xyxy pixels, not clipped, from ``deltas`` and ``anchors`` [..., 4]."""
        dx, dy, dw, dh = self._arrange(*deltas.unbind(-1))
        of_centre, of_size = self.weights
        dx, dy, dw, dh = dx / of_centre, dy / of_centre, dw / of_size, dh / of_size
        if self.max_log_scale is not None:
            dw, dh = dw.clamp(max=self.max_log_scale), dh.clamp(max=self.max_log_scale)
        anchor_x, anchor_y, anchor_w, anchor_h = to_centres(anchors)
        centre_x, centre_y = dx * anchor_w + anchor_x, dy * anchor_h + anchor_y
        half_w, half_h = dw.exp() * anchor_w / 2, dh.exp() * anchor_h / 2
        return torch.stack(
            (centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h), dim=-1
        )

    def _arrange(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, ...]:
        """Swap the axes within each pair for "yxhw"; its own inverse."""
        return (a, b, c, d) if self.order == "xywh" else (b, a, d, c)
