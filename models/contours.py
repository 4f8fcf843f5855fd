"""Contours: closed polygons, float tensors [..., V, 2] of x, y in pixels.

They run by way of the top, the left, the bottom and the right; vertex 0 follows the last.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

ARM = (
    1 / 8
)  # of the box's side, by which an octagon's edges reach from its extreme point either way


def diamond(boxes: Tensor, vertices: int) -> Tensor:
    """The middles of the sides of ``boxes`` [..., 4] xyxy, and as many points between any two:
    [..., vertices, 2], of which every (vertices / 4)th is a middle."""
    left, top, right, bottom = boxes.unbind(-1)
    x, y = (left + right) / 2, (top + bottom) / 2
    corners = torch.stack((x, top, left, y, x, bottom, right, y), dim=-1).unflatten(-1, (4, 2))
    steps = torch.arange(vertices // 4, dtype=boxes.dtype, device=boxes.device)
    share = (steps * (4 / vertices)).unsqueeze(-1)  # [V / 4, 1]
    points = corners.unsqueeze(-2) + share * edges(corners).unsqueeze(-2)  # [..., 4, V / 4, 2]
    return points.flatten(-3, -2)


def octagon(extremes: Tensor) -> Tensor:
    """The octagon of a top, left, bottom and right point, [..., 4, 2]: [..., 12, 2], from the top
    point on.

    Each point is in the middle of an edge a quarter as long as that side of the points' box, which
    ends at the box's corner at the latest (ExtremeNet, arXiv 1901.08043, section 4.4).
    """
    x, y = extremes.unbind(-1)  # [..., 4] each
    (left, right), (top, bottom) = ((part.amin(-1), part.amax(-1)) for part in (x, y))
    across, down = (right - left) * ARM, (bottom - top) * ARM
    top_x, left_x, bottom_x, right_x = x.unbind(-1)
    top_y, left_y, bottom_y, right_y = y.unbind(-1)
    points = (
        *(top_x, top_y),
        *(torch.maximum(top_x - across, left), top_y),
        *(left_x, torch.maximum(left_y - down, top)),
        *(left_x, left_y),
        *(left_x, torch.minimum(left_y + down, bottom)),
        *(torch.maximum(bottom_x - across, left), bottom_y),
        *(bottom_x, bottom_y),
        *(torch.minimum(bottom_x + across, right), bottom_y),
        *(right_x, torch.minimum(right_y + down, bottom)),
        *(right_x, right_y),
        *(right_x, torch.maximum(right_y - down, top)),
        *(torch.minimum(top_x + across, right), top_y),
    )
    return torch.stack(points, dim=-1).unflatten(-1, (-1, 2))


def edges(contours: Tensor) -> Tensor:
    """From each vertex of ``contours`` [..., V, 2] to the next."""
    return torch.cat((contours[..., 1:, :], contours[..., :1, :]), dim=-2) - contours


def resample(contours: Tensor, vertices: int) -> Tensor:
    """Points on ``contours`` [..., P, 2] at equal distances along them, from vertex 0 on:
    [..., vertices, 2]."""
    steps = edges(contours)
    lengths = steps.square().sum(dim=-1).sqrt()  # [..., P]
    ends = lengths.cumsum(dim=-1)
    places = torch.arange(vertices, dtype=contours.dtype, device=contours.device) / vertices
    at = ends[..., -1:] * places  # [..., V]
    # of each edge, the share that lies before each point; an edge of no length leads nowhere
    smallest = torch.finfo(contours.dtype).tiny
    passed = at.unsqueeze(-1) - (ends - lengths).unsqueeze(-2)  # [..., V, P]
    share = (passed / lengths.clamp(min=smallest).unsqueeze(-2)).clamp(0, 1)
    return contours[..., :1, :] + (share.unsqueeze(-1) * steps.unsqueeze(-3)).sum(dim=-2)


def extreme_points(contours: Tensor) -> Tensor:
    """The top, left, bottom and right vertex of ``contours`` [..., V, 2]: [..., 4, 2]; of equal
    ones the first."""
    x, y = contours.unbind(-1)
    index = torch.stack((y.argmin(-1), x.argmin(-1), y.argmax(-1), x.argmax(-1)), dim=-1)
    return contours.gather(-2, index.unsqueeze(-1).expand(*index.shape, 2))


def signed_area(contours: Tensor) -> Tensor:
    """In square pixels, [...] of ``contours`` [..., V, 2]: negative for those that run by way of
    the top, the left, the bottom and the right."""
    x, y = contours.unbind(-1)
    dx, dy = edges(contours).unbind(-1)
    return (x * dy - y * dx).sum(dim=-1) / 2


def align(contours: Tensor, goals: Tensor) -> Tensor:
    """``goals`` [M, V, 2] whose vertices are counted from where they are nearest to those of
    ``contours`` [M, V, 2], by the sum of squared distances."""
    # the sum is least where the circular correlation is greatest
    spectra = (torch.fft.rfft(part.double(), dim=1) for part in (contours, goals))
    own, other = spectra
    shift = torch.fft.irfft(own.conj() * other, n=contours.shape[1], dim=1).sum(2).argmax(dim=1)
    vertices = torch.arange(contours.shape[1], device=contours.device)
    index = (vertices + shift.unsqueeze(1)) % contours.shape[1]  # [M, V]
    return goals.gather(1, index.unsqueeze(-1).expand(-1, -1, 2))


def clip_contours(contours: Tensor, height: int, width: int) -> Tensor:
    """``contours`` [..., V, 2] moved inside an image of ``height`` x ``width`` pixels."""
    x, y = contours.unbind(-1)
    return torch.stack((x.clamp(0, width), y.clamp(0, height)), dim=-1)


def sample_features(features: Tensor, contours: Tensor, stride: int) -> Tensor:
    """``features`` [N, C, H, W], a cell for every ``stride`` pixels, at the vertices of
    ``contours`` [N, K, V, 2], bilinear: [N, C, K, V]. Beyond the border they are the border's."""
    height, width = features.shape[-2:]
    x, y = contours.unbind(-1)
    # grid_sample's coordinates run from -1 to 1 between the feature map's edges
    grid = torch.stack((x * (2 / (width * stride)) - 1, y * (2 / (height * stride)) - 1), dim=-1)
    return F.grid_sample(features, grid, padding_mode="border", align_corners=False)
