"""Weighted boxes fusion against the paper's steps, written out."""

import numpy as np
import pytest

from export.fusion import fuse


def iou(a: list[float], b: list[float]) -> float:
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in range(2))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union else 0.0


def naive(boxes: list[list[float]], scores: list[float], answers: int, threshold: float) -> list:
    clusters: list[list[int]] = []
    fused: list[list[float]] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        overlaps = [iou(boxes[i], box) for box in fused]
        best = max(range(len(fused)), key=overlaps.__getitem__, default=None)
        if best is None or overlaps[best] <= threshold:
            clusters.append([i])
            fused.append(boxes[i])
        else:
            clusters[best].append(i)
            total = sum(scores[j] for j in clusters[best])
            fused[best] = [
                sum(scores[j] * boxes[j][k] for j in clusters[best]) / total for k in range(4)
            ]
    means = [sum(scores[j] for j in c) / len(c) * min(len(c), answers) / answers for c in clusters]
    return sorted(zip(means, fused, strict=True), key=lambda row: -row[0])


@pytest.mark.parametrize("seed", range(5))
def test_fusion_is_the_papers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 100, (4, 2)).repeat(5, axis=0) + rng.normal(0, 3, (20, 2))
    boxes = np.concatenate((centres - 20, centres + 20), axis=1)
    scores = rng.uniform(0.05, 1, 20)
    fused, means = fuse(boxes, scores, 3, 0.6)
    expected = naive(boxes.tolist(), scores.tolist(), 3, 0.6)
    np.testing.assert_allclose(means, [mean for mean, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(fused, [box for _, box in expected], rtol=1e-12)


def test_what_one_of_four_sees_is_worth_a_quarter() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 11], [50, 50, 60, 60]])
    fused, scores = fuse(boxes, np.array([0.9, 0.3, 0.8]), 4, 0.6)
    np.testing.assert_allclose(fused, [[0, 0, 10, 10.25], [50, 50, 60, 60]])
    np.testing.assert_allclose(scores, [0.6 * 2 / 4, 0.8 / 4])


def test_nothing_gives_nothing() -> None:
    fused, scores = fuse(np.zeros((0, 4)), np.zeros(0), 2, 0.6)
    assert (fused.shape, scores.shape) == ((0, 4), (0,))
