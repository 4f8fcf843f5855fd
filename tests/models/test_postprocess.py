"""Raw outputs become detections: sorted, cut, suppressed, padded."""

import math

import pytest
import torch

from models.anchors import AnchorGenerator, efficientdet_anchors
from models.box_coder import BoxCoder
from models.postprocess import (
    best_anchors,
    candidate_anchors,
    decode_anchors,
    decode_regions,
    select_detections,
)
from tests.models.overlap import overlap


def select(scores: torch.Tensor, boxes: torch.Tensor, score=0.1, iou=0.5, number=10, agnostic=None):
    return select_detections(
        scores,
        boxes,
        torch.tensor(score),
        torch.tensor(iou),
        torch.tensor(number),
        class_agnostic=None if agnostic is None else torch.tensor(agnostic),
    )


def random_case(images: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    scores = torch.rand(images, 300, 4, generator=generator)
    corners = torch.rand(images, 300, 2, generator=generator) * 100
    sides = torch.rand(images, 300, 2, generator=generator) * 60 + 5
    return scores, torch.cat((corners, corners + sides), dim=2)


def test_zero_deltas_are_the_anchors_clipped() -> None:
    anchors = AnchorGenerator(efficientdet_anchors(3.0)).over_input(64, 64)
    raw = torch.zeros(1, len(anchors), 2), torch.zeros(1, len(anchors), 4)
    scores, boxes = decode_anchors(*raw, anchors, BoxCoder(), 64, 64)
    assert (scores == 0.5).all()
    torch.testing.assert_close(boxes[0], anchors.clamp(0, 64))


def test_rows_are_best_first_and_padded() -> None:
    boxes = torch.tensor([[[0.0, 0, 5, 5], [10, 10, 20, 20], [30, 30, 40, 40]]])
    scores = torch.tensor([[[0.3, 0.0], [0.0, 0.9], [0.05, 0.0]]])
    number, boxes_, scores_, labels = select(scores, boxes, number=4)
    assert number.tolist() == [2]
    torch.testing.assert_close(scores_, torch.tensor([[0.9, 0.3, 0, 0]]))
    assert labels.tolist() == [[1, 0, -1, -1]]
    assert boxes_[0, :2].tolist() == [[10, 10, 20, 20], [0, 0, 5, 5]]
    assert (boxes_[0, 2:] == 0).all()


def test_one_box_may_have_several_labels() -> None:
    boxes = torch.tensor([[[0.0, 0, 5, 5]]])
    number, _, _, labels = select(torch.tensor([[[0.5, 0.8]]]), boxes, number=2)
    assert number.tolist() == [2]
    assert labels.tolist() == [[1, 0]]


def test_image_without_detections_beside_one_with() -> None:
    scores, boxes = random_case()
    scores[0] = 0.01
    number, _, _, labels = select(scores, boxes)
    assert number.tolist() == [0, 10]
    assert (labels[0] == -1).all()
    assert (labels[1] >= 0).all()


def test_a_higher_threshold_afterwards_is_a_higher_threshold_before() -> None:
    """What lets one run serve requests with different thresholds."""
    scores, boxes = random_case()
    low = select(scores, boxes, score=0.05, number=1200)
    for threshold in (0.3, 0.6, 0.95):
        high = select(scores, boxes, score=threshold, number=1200)
        for i in range(2):
            kept = low[2][i] > threshold
            assert kept.sum() == high[0][i] > 0
            torch.testing.assert_close(low[1][i][kept], high[1][i][: high[0][i]])
            assert low[3][i][kept].tolist() == high[3][i][: high[0][i]].tolist()


def test_fewer_rows_are_the_first_of_more() -> None:
    scores, boxes = random_case()
    many, few = select(scores, boxes, number=50), select(scores, boxes, number=7)
    for more, less in zip(many[1:], few[1:], strict=True):
        torch.testing.assert_close(more[:, :7], less)


def test_class_agnostic_gives_one_box_an_object_with_its_best_label() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [30, 30, 40, 40], [50, 50, 60, 60]]])
    scores = torch.tensor([[[0.5, 0.8], [0.7, 0.1], [0.6, 0.6], [0.0, 0.05]]])
    number, boxes_, scores_, labels = select(scores, boxes, agnostic=True)
    assert number.tolist() == [2]
    torch.testing.assert_close(scores_[0, :3], torch.tensor([0.8, 0.6, 0.0]))
    assert labels[0, :3].tolist() == [1, 0, -1]
    assert boxes_[0, :2].tolist() == [[0, 0, 10, 10], [30, 30, 40, 40]]
    assert select(scores, boxes)[3][0].tolist() == [1, 0, 0, 1, -1, -1, -1, -1]
    for same in (False, None):
        assert select(scores, boxes, agnostic=same)[3].tolist() == select(scores, boxes)[3].tolist()


def test_class_agnostic_at_a_higher_threshold_is_the_lower_one_cut() -> None:
    scores, boxes = random_case()
    low = select(scores, boxes, score=0.05, number=1200, agnostic=True)
    high = select(scores, boxes, score=0.8, number=1200, agnostic=True)
    for i in range(2):
        kept = low[2][i] > 0.8
        assert 0 < kept.sum() < low[0][i]
        assert low[3][i][kept].tolist() == high[3][i][: high[0][i]].tolist()


def test_best_anchors_are_those_with_the_best_class() -> None:
    scores = torch.tensor([[[0.1, 0.2], [0.9, 0.0], [0.2, 0.1], [0.3, 0.3]], [[-1.0, -2]] * 4])
    assert best_anchors(scores, 3).tolist() == [[1, 3, 0], [0, 1, 2]]
    assert best_anchors(scores, 9).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("score_threshold", "max_detections", "expected"),
    [
        pytest.param(0.5, 1, [[1, 3, 0], [0, 1, 2]], id="as many as score in one of the images"),
        pytest.param(0.5, 4, [[1, 3, 0, 2], [0, 1, 2, 3]], id="as many as are asked for"),
        pytest.param(0.0, 1, [[1, 3, 0, 2], [0, 1, 2, 3]], id="no more than may be"),
        pytest.param(1.0, 0, [[1], [0]], id="one if there is none"),
    ],
)
def test_candidates_are_no_more_than_can_be_of_use(
    score_threshold: float, max_detections: int, expected: list[list[int]]
) -> None:
    nought, none = [-3.0, -1], [-9.0, -9]  # and two that are at the threshold of one half
    logits = torch.tensor([[[0.0, -1], [4, 1], nought, [3, 3], none], [none] * 5])
    settings = torch.tensor(score_threshold), torch.tensor(max_detections)
    assert candidate_anchors(logits, *settings, 4).tolist() == expected


CODER = BoxCoder(weights=(10.0, 5.0))
Detection = tuple[float, int, list[float]]


def decode(logits, deltas, proposals, scores, height=100, width=120):
    return decode_regions(logits, deltas, proposals, scores, CODER, height, width)


def random_regions(seed: int, regions: int = 40, classes: int = 3) -> tuple[torch.Tensor, ...]:
    """Two images of 100 x 120; the last ten proposals of the second one are padding."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, regions, 1 + classes, generator=generator) * 2
    deltas = torch.randn(2, regions, 1 + classes, 4, generator=generator) * 3
    corners = torch.rand(2, regions, 2, generator=generator) * 90
    sides = torch.rand(2, regions, 2, generator=generator) * 40 + 1
    proposals = torch.cat((corners, corners + sides), dim=2)
    scores = torch.rand(2, regions, generator=generator) + 0.01
    proposals[1, -10:] = scores[1, -10:] = 0.0
    return logits, deltas, proposals, scores


def naive_detections(
    logits: list, deltas: list, proposals: list, scores: list, threshold: float, iou: float
) -> list[Detection]:
    """(score, label, box) of one image, the best first."""
    candidates: list[Detection] = []
    for region, (left, top, right, bottom) in enumerate(proposals):
        exponents = [math.exp(logit) for logit in logits[region]]
        for label in range(len(exponents) - 1):
            score = exponents[1 + label] / sum(exponents)
            if scores[region] == 0 or score <= threshold:
                continue
            dx, dy, dw, dh = deltas[region][1 + label]
            w, h = right - left, bottom - top
            x, y = left + w / 2 + dx / 10 * w, top + h / 2 + dy / 10 * h
            w, h = w * math.exp(min(dw / 5, math.log(62.5))), h * math.exp(dh / 5)
            box = [
                min(max(x - w / 2, 0), 120),
                min(max(y - h / 2, 0), 100),
                min(max(x + w / 2, 0), 120),
                min(max(y + h / 2, 0), 100),
            ]
            if box[2] - box[0] >= 0.01 and box[3] - box[1] >= 0.01:
                candidates.append((score, label, box))
    kept: list[Detection] = []
    for score, label, box in sorted(candidates, key=lambda candidate: -candidate[0]):
        if all(label != other or overlap(box, better) <= iou for _, other, better in kept):
            kept.append((score, label, box))
    return kept


@pytest.mark.parametrize("seed", range(3))
def test_detections_of_regions_are_those_of_a_loop(seed: int) -> None:
    regions = random_regions(seed)
    numbers, boxes, scores, labels = select(*decode(*regions), score=0.05, number=200)
    for image in range(2):
        arrays = [tensor[image].tolist() for tensor in regions]
        expected = naive_detections(*arrays, threshold=0.05, iou=0.5)
        count = len(expected)
        assert numbers[image] == count > 20
        assert labels[image, :count].tolist() == [label for _, label, _ in expected]
        torch.testing.assert_close(
            scores[image, :count], torch.tensor([score for score, _, _ in expected])
        )
        torch.testing.assert_close(
            boxes[image, :count],
            torch.tensor([box for _, _, box in expected]),
            atol=1e-3,
            rtol=0,
        )


def test_each_row_of_decoded_regions_is_of_one_class() -> None:
    scores, boxes = decode(*random_regions(0))
    assert scores.shape == (2, 1000, 3)
    assert boxes.shape == (2, 1000, 4)
    assert ((scores > 0).sum(dim=2) <= 1).all()
    best = scores.amax(dim=2)
    assert (best.diff(dim=1) <= 0).all()
    assert 0 < (best > 0).sum(dim=1)[1] <= 30 * 3


def test_padding_among_proposals_is_never_detected() -> None:
    """However sure of it the second stage is, and wherever its box would come to lie."""
    logits = torch.tensor([[[0.0, 9.0], [0.0, 20.0]]])
    deltas = torch.zeros(1, 2, 2, 4)
    proposals = torch.tensor([[[10.0, 10, 50, 50], [60, 60, 90, 90]]])
    scores, _ = decode(logits, deltas, proposals, torch.tensor([[0.5, 0.0]]))
    assert int((scores > 0).sum()) == 1
    number, boxes, _, _ = select(*decode(logits, deltas, proposals, torch.tensor([[0.5, 0.0]])))
    assert number.tolist() == [1]
    torch.testing.assert_close(boxes[0, 0], torch.tensor([10.0, 10, 50, 50]))


def test_an_image_whose_proposals_are_all_padding_has_no_detections() -> None:
    zeros = torch.zeros(1, 5, 4), torch.zeros(1, 5)
    logits = torch.full((1, 5, 3), 4.0)
    number, _, _, labels = select(*decode(logits, torch.zeros(1, 5, 3, 4), *zeros), score=0.0)
    assert number.tolist() == [0]
    assert (labels == -1).all()


def test_the_background_is_no_class_but_takes_its_share() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]]).log_softmax(dim=1)[None]
    proposals = torch.tensor([[[10.0, 10, 50, 50]]])
    deltas = torch.zeros(1, 1, 3, 4)
    deltas[0, 0, 0] = 30.0  # the background's box, which nobody reads
    deltas[0, 0, 2, 0] = 2.5  # a quarter of the width to the right
    number, boxes, scores, labels = select(
        *decode(logits, deltas, proposals, torch.ones(1, 1)), score=0.05, number=5
    )
    total = math.e**2 + math.e + 1
    assert number.tolist() == [2]
    assert labels[0, :2].tolist() == [0, 1]
    torch.testing.assert_close(scores[0, :2], torch.tensor([math.e / total, 1 / total]))
    expected = torch.tensor([[10.0, 10, 50, 50], [20.0, 10, 60, 50]])
    torch.testing.assert_close(boxes[0, :2], expected)


def test_boxes_of_less_than_a_hundredth_of_a_pixel_are_dropped() -> None:
    sides = [(0.011, 5.0), (5.0, 0.011), (0.009, 5.0), (5.0, 0.009)]
    proposals = torch.tensor([[[0.0, 0, w, h] for w, h in sides]])
    logits = torch.tensor([[[0.0, 4.0]] * 4])
    scores, _ = decode(logits, torch.zeros(1, 4, 2, 4), proposals, torch.ones(1, 4))
    assert int((scores > 0).sum()) == 2


def test_boxes_outside_the_image_are_dropped() -> None:
    proposals = torch.tensor([[[10.0, 10, 20, 20]] * 3])
    deltas = torch.zeros(1, 3, 2, 4)
    deltas[0, 0, 1, 0] = -50.0  # five widths to the left
    deltas[0, 1, 1, 1] = 150.0  # 15 heights down
    logits = torch.tensor([[[0.0, 4.0]] * 3])
    scores, boxes = decode(logits, deltas, proposals, torch.ones(1, 3))
    assert int((scores > 0).sum()) == 1
    torch.testing.assert_close(boxes[0, 0], torch.tensor([10.0, 10, 20, 20]))


def test_the_thousand_best_pairs_of_region_and_class_are_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 400, 5, generator=generator)
    proposals = torch.tensor([0.0, 0, 10, 10]).expand(1, 400, 4)
    scores, _ = decode(logits, torch.zeros(1, 400, 5, 4), proposals, torch.ones(1, 400))
    expected = logits.softmax(dim=2)[0, :, 1:].flatten().sort(descending=True).values[:1000]
    torch.testing.assert_close(scores[0].amax(dim=1), expected)
