"""The ONNX subgraph of the selection against its definition in PyTorch."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from export.onnx_file import OPSET
from export.selection import ONNX_TRANSLATIONS, select_detections
from models.postprocess import MAX_CANDIDATES

ANCHORS, CLASSES = 1300, 3  # more anchors than candidates


class Selection(nn.Module):
    def forward(self, scores: Tensor, boxes: Tensor, s: Tensor, i: Tensor, m: Tensor):
        return select_detections(scores, boxes, s, i, m)


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    example = (
        torch.rand(2, ANCHORS, CLASSES),
        torch.rand(2, ANCHORS, 4),
        torch.tensor(0.1),
        torch.tensor(0.5),
        torch.tensor(10),
    )
    batch = torch.export.Dim("N")
    program = torch.onnx.export(
        Selection().eval(),
        example,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=({0: batch}, {0: batch}, None, None, None),
        input_names=["scores", "boxes", "s", "i", "m"],
        custom_translation_table=ONNX_TRANSLATIONS,
    )
    return ort.InferenceSession(program.model_proto.SerializeToString())


def random_case(seed: int, images: int, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Scores and boxes; with ``levels``, scores are multiples of 1 / levels, so many are equal."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(images, ANCHORS, CLASSES, generator=generator) ** 3
    if levels is not None:
        scores = (scores * levels).round() / levels
    corners = torch.rand(images, ANCHORS, 2, generator=generator) * 200
    sides = 10 + torch.rand(images, ANCHORS, 2, generator=generator) * 80
    return scores, torch.cat((corners, corners + sides), dim=2)


def compare(session: ort.InferenceSession, *inputs: Tensor) -> list[np.ndarray]:
    expected = select_detections(*inputs)
    names = [value.name for value in session.get_inputs()]
    actual = session.run(None, {n: t.numpy() for n, t in zip(names, inputs, strict=True)})
    for e, a in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(a, e.numpy())
        assert a.dtype == e.numpy().dtype
    return actual


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("images", [1, 2, 7])
def test_random_scores(session: ort.InferenceSession, seed: int, images: int) -> None:
    scores, boxes = random_case(seed, images)
    thresholds = torch.tensor(0.3), torch.tensor(0.5), torch.tensor(100)
    number, *_ = compare(session, scores, boxes, *thresholds)
    assert (number > 5).all()


@pytest.mark.parametrize("seed", range(4))
def test_many_equal_scores(session: ort.InferenceSession, seed: int) -> None:
    scores, boxes = random_case(seed, 2, levels=20)
    compare(session, scores, boxes, torch.tensor(0.2), torch.tensor(0.4), torch.tensor(100))


def test_identical_boxes_with_identical_scores(session: ort.InferenceSession) -> None:
    scores = torch.full((2, ANCHORS, CLASSES), 0.5)
    boxes = torch.tensor([10.0, 10.0, 20.0, 20.0]).expand(2, ANCHORS, 4).contiguous()
    thresholds = torch.tensor(0.2), torch.tensor(0.5), torch.tensor(10)
    number, *_ = compare(session, scores, boxes, *thresholds)
    assert number.tolist() == [CLASSES, CLASSES]


def test_nothing_above_the_threshold(session: ort.InferenceSession) -> None:
    scores, boxes = random_case(0, 2)
    thresholds = torch.tensor(1.0), torch.tensor(0.5), torch.tensor(10)
    number, _, scores_, labels = compare(session, scores, boxes, *thresholds)
    assert number.tolist() == [0, 0]
    assert (scores_ == 0).all()
    assert (labels == -1).all()


def test_an_empty_image_between_full_ones(session: ort.InferenceSession) -> None:
    scores, boxes = random_case(0, 3)
    scores[1] = 0
    thresholds = torch.tensor(0.3), torch.tensor(0.5), torch.tensor(10)
    number, *_ = compare(session, scores, boxes, *thresholds)
    assert number.tolist() == [10, 0, 10]


def test_a_score_on_the_threshold_does_not_count(session: ort.InferenceSession) -> None:
    scores = torch.zeros(1, ANCHORS, CLASSES)
    scores[0, 0, 0], scores[0, 1, 1] = 0.5, 0.5001
    _, boxes = random_case(0, 1)
    thresholds = torch.tensor(0.5), torch.tensor(0.5), torch.tensor(10)
    number, _, _, labels = compare(session, scores, boxes, *thresholds)
    assert number.tolist() == [1]
    assert labels[0, 0] == 1


def test_more_rows_asked_for_than_there_can_be(session: ort.InferenceSession) -> None:
    scores, boxes = random_case(0, 1)
    thresholds = torch.tensor(0.9), torch.tensor(0.5), torch.tensor(2**31 - 1)
    _, boxes_, *_ = compare(session, scores, boxes, *thresholds)
    assert boxes_.shape == (1, MAX_CANDIDATES * CLASSES, 4)


def test_iou_threshold_of_one_suppresses_nothing(session: ort.InferenceSession) -> None:
    scores, boxes = random_case(1, 1)
    thresholds = torch.tensor(0.6), torch.tensor(1.0), torch.tensor(1000)
    number, *_ = compare(session, scores, boxes, *thresholds)
    best = scores[0].max(dim=1).values.topk(MAX_CANDIDATES).indices
    assert number[0] == (scores[0][best] > 0.6).sum()
