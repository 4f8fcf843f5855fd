"""Suppression against a reference that a child could follow."""

import pytest
import torch

from models.nms import batched_nms, nms
from tests.models.overlap import overlap


def naive_nms(boxes: list, scores: list, labels: list, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(labels[i] != labels[k] or overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


def random_case(seed: int, count: int = 120) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes on a coarse grid, so that many are equal; scores of ten values, so that many tie."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 12, (count, 2), generator=generator).double() * 5
    sides = torch.randint(2, 6, (count, 2), generator=generator).double() * 5
    scores = torch.randint(1, 11, (count,), generator=generator).double() / 10
    labels = torch.randint(0, 3, (count,), generator=generator)
    return torch.cat((corners, corners + sides), dim=1), scores, labels


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_random_boxes_with_ties(seed: int, threshold: float) -> None:
    boxes, scores, labels = random_case(seed)
    alike = [0] * len(boxes)
    expected = naive_nms(boxes.tolist(), scores.tolist(), alike, threshold)
    assert nms(boxes, scores, threshold).tolist() == expected
    by_label = naive_nms(boxes.tolist(), scores.tolist(), labels.tolist(), threshold)
    assert batched_nms(boxes, scores, labels, threshold).tolist() == by_label


def test_labels_do_not_suppress_each_other() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(3, 1)
    scores = torch.tensor([0.7, 0.9, 0.8])
    labels = torch.tensor([0, 1, 0])
    assert batched_nms(boxes, scores, labels, 0.5).tolist() == [1, 2]


def test_what_was_suppressed_suppresses_nothing() -> None:
    """B overlaps A and C, which are apart: B goes, so C stays."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [6.0, 0, 16, 10], [12.0, 0, 22, 10]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.2).tolist() == [0, 2]


def test_no_boxes() -> None:
    empty = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert batched_nms(*empty, 0.5).tolist() == []
