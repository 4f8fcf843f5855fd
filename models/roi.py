"""Cutting regions of interest out of a feature pyramid, or an image, to one size each.

RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) samples a region's feature at exact places;
RoI pooling (Fast R-CNN, arXiv 1504.08083, section 2.1) takes maxima over whole cells.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Pooling = Literal["align", "pool"]

OUTPUT_SIZE = 7  # cells a side
SAMPLES = 2  # a side of each output cell
CANONICAL_LEVEL, CANONICAL_SIZE = 4, 224  # where FPN puts a region of an ImageNet crop's size
LEVELS = (2, 3, 4, 5)


def assign_levels(boxes: Tensor) -> Tensor:
    """Index in `LEVELS`, int64 [...], of the level that a region is cut from; ``boxes`` [..., 4].

    k = floor(4 + log2(sqrt(w h) / 224)) (arXiv 1612.03144, equation 1), kept within P2 to P5.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    scale = sides.prod(dim=-1).sqrt() / CANONICAL_SIZE
    level = (CANONICAL_LEVEL + scale.log2() + 1e-6).floor()
    return level.clamp(LEVELS[0], LEVELS[-1]).to(torch.int64) - LEVELS[0]


def pool_regions(
    features: list[Tensor], boxes: Tensor, levels: Tensor, strides: list[int], pooling: str
) -> Tensor:
    """Features [N, C, H_l, W_l] and ``boxes`` [N, R, 4] in pixels inside the input, each to be cut
    from ``levels`` int64 [N, R] -> [N * R, C, 7, 7]."""
    cut = align_region if pooling == "align" else max_pool_region
    rows = []
    for image in range(boxes.shape[0]):
        pooled = features[0].new_zeros(boxes.shape[1], features[0].shape[1], *[OUTPUT_SIZE] * 2)
        for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
            members = (levels[image] == level).nonzero().squeeze(1)
            if len(members):
                pooled[members] = cut(feature[image], boxes[image, members] / stride)
        rows.append(pooled)
    return torch.cat(rows)


def align_region(feature: Tensor, boxes: Tensor) -> Tensor:
    """RoIAlign of ``boxes`` [R, 4], in cells of ``feature`` [C, H, W] -> [R, C, 7, 7].

    The mean of 2 x 2 bilinear samples in each output cell. A region is at least one cell wide, and
    cell (i, j) of the feature lies at (i, j), not at its middle, as in the first published models.
    A sample past the last cell is that cell's value, and one past the feature's border is 0.
    """
    corner, sides = boxes[:, :2], (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    steps = (torch.arange(OUTPUT_SIZE * SAMPLES, dtype=boxes.dtype) + 0.5) / SAMPLES / OUTPUT_SIZE
    x, y = (corner[:, :, None] + sides[:, :, None] * steps).unbind(1)  # each [R, 14]
    rows, columns = feature.shape[1:]
    # grid_sample's coordinates run from -1 to 1 between the first and the last cell
    # (of a single cell, every coordinate is that cell)
    grid_x = (x * 2 / max(columns - 1, 1) - 1)[:, None, :].expand(-1, len(steps), -1)
    grid_y = (y * 2 / max(rows - 1, 1) - 1)[:, :, None].expand(-1, -1, len(steps))
    grid = torch.stack((grid_x, grid_y), dim=-1).reshape(1, -1, len(steps), 2)
    samples = F.grid_sample(feature[None], grid, padding_mode="border", align_corners=True)
    samples = samples[0].reshape(feature.shape[0], len(boxes), len(steps), len(steps))
    inside = (y <= rows)[:, :, None] & (x <= columns)[:, None, :]
    return F.avg_pool2d(samples * inside, SAMPLES).transpose(0, 1)


def crop_regions(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    """``boxes`` [N, R, 4] of ``images`` [N, C, H, W], in their pixels, each stretched to one size:
    [N * R, C, side, side]. What lies beyond the image is 0.

    A pixel is the mean of `SAMPLES` x `SAMPLES` bilinear samples, as in RoIAlign, but the middle of
    an image's first pixel lies at half a pixel, and its rim fades into what lies beyond.
    """
    places = side * SAMPLES
    steps = (torch.arange(places, dtype=boxes.dtype, device=boxes.device) + 0.5) / places
    corner, sides = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    at = corner[..., None] + sides[..., None] * steps  # [N, R, 2, places]
    # grid_sample's coordinates run from -1 to 1 between the image's edges
    x, y = at[:, :, 0] * 2 / images.shape[-1] - 1, at[:, :, 1] * 2 / images.shape[-2] - 1
    grid = torch.stack(
        (
            x[:, :, None, :].expand(-1, -1, places, -1),
            y[:, :, :, None].expand(-1, -1, -1, places),
        ),
        dim=-1,
    ).flatten(1, 2)
    samples = F.grid_sample(images, grid, align_corners=False)  # [N, C, R * places, places]
    pixels = F.avg_pool2d(samples, SAMPLES)  # [N, C, R * side, side]
    return pixels.unflatten(2, (-1, side)).transpose(1, 2).flatten(0, 1)


def max_pool_region(feature: Tensor, boxes: Tensor) -> Tensor:
    """RoI pooling of ``boxes`` [R, 4], in cells of ``feature`` [C, H, W] -> [R, C, 7, 7].

    Corners are rounded to whole cells and both count, so that a box on the right or lower border
    ends one cell outside: what lies there is no maximum, and an output cell of nothing else is 0.
    """
    pooled = []
    for left, top, right, bottom in (boxes + 0.5).floor().to(torch.int64).tolist():
        rows = _max_in_bins(feature, 1, top, bottom - top + 1)
        pooled.append(_max_in_bins(rows, 2, left, right - left + 1))
    stacked = torch.stack(pooled)
    return torch.where(stacked == -torch.inf, 0.0, stacked)


def _max_in_bins(feature: Tensor, axis: int, start: int, cells: int) -> Tensor:
    """Maxima along ``axis`` of the bins that ``cells`` from ``start`` on are divided into.

    Bins overlap where they share a cell. Their edges are computed in float32 as in the public
    kernels: 7 times a seventh can be a little more than the whole there, and reach a cell further.
    """
    edges = torch.arange(OUTPUT_SIZE + 1) * (torch.tensor(float(max(cells, 1))) / OUTPUT_SIZE)
    limit = feature.shape[axis]
    firsts = (edges[:-1].floor() + start).clamp(max=limit).to(torch.int64).tolist()
    ends = (edges[1:].ceil() + start).clamp(max=limit).to(torch.int64).tolist()
    outside = feature.new_full((1,), -torch.inf).expand_as(feature.narrow(axis, 0, 1))
    maxima = [
        feature.narrow(axis, first, end - first).amax(axis, keepdim=True)
        if end > first
        else outside
        for first, end in zip(firsts, ends, strict=True)
    ]
    return torch.cat(maxima, dim=axis)
