"""Boxes as float tensors [..., 4] in ``xyxy`` order: left, top, right, bottom, in pixels."""

import torch
from torch import Tensor


def box_area(boxes: Tensor) -> Tensor:
    """Areas [...] of ``boxes`` [..., 4], in square pixels; zero where a box is inside out."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union [N, M], in 0..1, of ``first`` [N, 4] with ``second`` [M, 4].

    Two empty boxes have an IoU of zero rather than NaN.
    """
    intersection = _intersection(first, second)
    union = box_area(first)[:, None] + box_area(second)[None, :] - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def box_coverage(first: Tensor, second: Tensor) -> Tensor:
    """The share [N, M], in 0..1, of each of ``first`` [N, 4] that lies within ``second`` [M, 4]."""
    intersection = _intersection(first, second)
    area = box_area(first)[:, None].expand_as(intersection)
    return torch.where(area > 0, intersection / area, torch.zeros_like(intersection))


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """``boxes`` [..., 4] moved inside an image of ``height`` x ``width`` pixels."""
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    """Areas [N, M] that ``first`` [N, 4] and ``second`` [M, 4] share."""
    top_left = torch.maximum(first[:, None, :2], second[None, :, :2])  # [N, M, 2]
    bottom_right = torch.minimum(first[:, None, 2:], second[None, :, 2:])  # [N, M, 2]
    sides = (bottom_right - top_left).clamp(min=0)
    return sides[..., 0] * sides[..., 1]
