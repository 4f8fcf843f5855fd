"""Raw outputs become detections: sorted, cut, suppressed, padded."""

import torch

from models.anchors import efficientdet_anchors
from models.box_coder import BoxCoder
from models.postprocess import DetectionDecoder, select_detections


def select(scores: torch.Tensor, boxes: torch.Tensor, score=0.1, iou=0.5, number=10):
    return select_detections(
        scores, boxes, torch.tensor(score), torch.tensor(iou), torch.tensor(number)
    )


def random_case(images: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    scores = torch.rand(images, 300, 4, generator=generator)
    corners = torch.rand(images, 300, 2, generator=generator) * 100
    sides = torch.rand(images, 300, 2, generator=generator) * 60 + 5
    return scores, torch.cat((corners, corners + sides), dim=2)


def test_zero_deltas_are_the_anchors_clipped() -> None:
    settings = efficientdet_anchors(3.0)
    decoder = DetectionDecoder(settings, BoxCoder(), 64, 64)
    count = len(decoder.anchors)
    scores, boxes = decoder(torch.zeros(1, count, 2), torch.zeros(1, count, 4))
    assert (scores == 0.5).all()
    torch.testing.assert_close(boxes[0], decoder.anchors.clamp(0, 64))


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
