"""Contours against references in double precision, written from their definitions."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.contours import (
    align,
    clip_contours,
    diamond,
    extreme_points,
    octagon,
    resample,
    sample_features,
    signed_area,
)

Points = NDArray[np.float64]


def walk(polygon: Points, vertices: int) -> Points:
    """Points at equal distances along a closed polygon [P, 2], from its first vertex on."""
    closed = np.concatenate((polygon, polygon[:1]))
    at = np.concatenate(([0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()))
    places = np.arange(vertices) * at[-1] / vertices
    return np.stack([np.interp(places, at, closed[:, axis]) for axis in (0, 1)], axis=1)


def bilinear(feature: Points, x: float, y: float, stride: int) -> Points:
    """A feature map [C, H, W] at a place in pixels; cell (i, j) is the middle of its square."""
    _, height, width = feature.shape
    column = min(max(x / stride - 0.5, 0), width - 1)
    row = min(max(y / stride - 0.5, 0), height - 1)
    left, top = math.floor(column), math.floor(row)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    across, down = column - left, row - top
    upper = feature[:, top, left] * (1 - across) + feature[:, top, right] * across
    lower = feature[:, bottom, left] * (1 - across) + feature[:, bottom, right] * across
    found: Points = upper * (1 - down) + lower * down
    return found


def test_a_diamond_begins_at_the_middle_of_the_top() -> None:
    box = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    expected = [[20, 20], [15, 30], [10, 40], [15, 50], [20, 60], [25, 50], [30, 40], [25, 30]]
    assert diamond(box, 8).tolist() == [expected]
    assert signed_area(diamond(box, 40)).tolist() == [-400.0]


def test_an_octagon_is_cut_off_at_its_boxs_corners() -> None:
    top, left, bottom, right = (2.0, 0.0), (0.0, 40.0), (79.0, 80.0), (80.0, 40.0)
    points = octagon(torch.tensor([top, left, bottom, right]))
    expected = [
        *[(2, 0), (0, 0), (0, 30), (0, 40), (0, 50), (69, 80)],
        *[(79, 80), (80, 80), (80, 50), (80, 40), (80, 30), (12, 0)],
    ]
    assert points.tolist() == [list(map(float, point)) for point in expected]


@pytest.mark.parametrize("number", [3, 12, 57])
def test_points_at_equal_distances_are_those_of_a_walk(number: int) -> None:
    rng = np.random.default_rng(number)
    polygons = rng.uniform(0, 320, (2, 3, number, 2))
    polygons[0, 0, 1] = polygons[0, 0, 0]  # an edge of no length
    found = resample(torch.from_numpy(polygons), 128).numpy()
    for place in np.ndindex(2, 3):
        np.testing.assert_allclose(found[place], walk(polygons[place], 128), atol=1e-9)


def test_a_contour_of_one_point_stays_there() -> None:
    assert resample(torch.full((5, 2), 7.0), 8).tolist() == [[7.0, 7.0]] * 8


def test_extreme_points_are_vertices() -> None:
    contour = torch.tensor([[5.0, 1.0], [0.0, 4.0], [6.0, 9.0], [9.0, 3.0], [5.0, 1.0]])
    assert extreme_points(contour).tolist() == [[5, 1], [0, 4], [6, 9], [9, 3]]


def test_features_at_vertices_are_bilinear() -> None:
    rng = np.random.default_rng(0)
    features, contours = rng.normal(size=(2, 3, 5, 7)), rng.uniform(-9, 70, (2, 4, 6, 2))
    found = sample_features(torch.from_numpy(features), torch.from_numpy(contours), 8).numpy()
    assert found.shape == (2, 3, 4, 6)
    for n, k, v in np.ndindex(2, 4, 6):
        expected = bilinear(features[n], *contours[n, k, v], stride=8)
        np.testing.assert_allclose(found[n, :, k, v], expected, atol=1e-12)


def test_goals_are_counted_from_where_they_are_nearest() -> None:
    rng = np.random.default_rng(1)
    contours, goals = rng.uniform(0, 100, (2, 4, 16, 2))
    found = align(torch.from_numpy(contours), torch.from_numpy(goals)).numpy()
    for contour, goal, aligned in zip(contours, goals, found, strict=True):
        turned = [np.roll(goal, -shift, axis=0) for shift in range(16)]
        best = min(turned, key=lambda one: ((one - contour) ** 2).sum())
        np.testing.assert_array_equal(aligned, best)


def test_contours_end_at_the_images_edge() -> None:
    contour = torch.tensor([[-3.0, 5.0], [4.0, 99.0], [70.0, -1.0]])
    assert clip_contours(contour, height=48, width=64).tolist() == [[0, 5], [4, 48], [64, 0]]
