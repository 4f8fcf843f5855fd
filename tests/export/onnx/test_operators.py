"""The operators' ONNX subgraphs against their definitions in PyTorch."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from export.onnx.operators import ONNX_TRANSLATIONS
from export.onnx.trace import OPSET
from models.boxes import box_iou
from models.operators import candidate_anchors, select_detections
from models.postprocess import MAX_CANDIDATES

ANCHORS, CLASSES = 1300, 3  # more anchors than candidates
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3))]


class Selection(nn.Module):
    def __init__(self, max_candidates: int) -> None:
        super().__init__()
        self.max_candidates = max_candidates

    def forward(self, scores: Tensor, boxes: Tensor, s: Tensor, i: Tensor, m: Tensor, c: Tensor):
        return select_detections(scores, boxes, s, i, m, self.max_candidates, c)


def selection_in_onnx(max_candidates: int) -> ort.InferenceSession:
    example = (
        torch.rand(2, ANCHORS, CLASSES),
        torch.rand(2, ANCHORS, 4),
        torch.tensor(0.1),
        torch.tensor(0.5),
        torch.tensor(10),
        torch.tensor(False),
    )
    batch = torch.export.Dim("N")
    program = torch.onnx.export(
        Selection(max_candidates).eval(),
        example,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=({0: batch}, {0: batch}, None, None, None, None),
        input_names=["scores", "boxes", "s", "i", "m", "c"],
        custom_translation_table=ONNX_TRANSLATIONS,
    )
    return ort.InferenceSession(program.model_proto.SerializeToString())


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return selection_in_onnx(MAX_CANDIDATES)


def random_case(seed: int, images: int, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Scores and boxes; with ``levels``, scores are multiples of 1 / levels, so many are equal."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(images, ANCHORS, CLASSES, generator=generator) ** 3
    if levels is not None:
        scores = (scores * levels).round() / levels
    corners = torch.rand(images, ANCHORS, 2, generator=generator) * 200
    sides = 10 + torch.rand(images, ANCHORS, 2, generator=generator) * 80
    return scores, torch.cat((corners, corners + sides), dim=2)


def compare(
    session: ort.InferenceSession,
    *inputs: Tensor,
    max_candidates: int = MAX_CANDIDATES,
    class_agnostic: bool = False,
) -> list[np.ndarray]:
    agnostic = torch.tensor(class_agnostic)
    expected = select_detections(*inputs, max_candidates, agnostic)
    names = [value.name for value in session.get_inputs()]
    feeds = zip(names, (*inputs, agnostic), strict=True)
    actual = session.run(None, {name: tensor.numpy() for name, tensor in feeds})
    for e, a in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(a, e.numpy())
        assert a.dtype == e.numpy().dtype
    return actual


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("images", [1, 2, 7])
def test_random_scores(session: ort.InferenceSession, seed: int, images: int) -> None:
    scores, boxes = random_case(seed, images)
    thresholds = torch.tensor(0.3), torch.tensor(0.5), torch.tensor(100)
    number, *_ = compare(session, scores, boxes, *thresholds)
    assert (number > 5).all()


@pytest.mark.parametrize("seed", SEEDS)
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


@pytest.mark.parametrize("max_candidates", [50, ANCHORS - 1, ANCHORS, 4 * ANCHORS])
def test_another_number_of_candidates(max_candidates: int) -> None:
    session = selection_in_onnx(max_candidates)
    scores, boxes = random_case(2, 2)
    thresholds = torch.tensor(0.3), torch.tensor(0.9), torch.tensor(2000)
    number, *_ = compare(session, scores, boxes, *thresholds, max_candidates=max_candidates)
    assert (number > 40).all()
    if max_candidates == 50:
        assert (number <= 50 * CLASSES).all()
    else:
        assert (number > 50 * CLASSES).all()


@pytest.mark.parametrize("levels", [None, 20, 2], ids=["", "equal scores", "most equal"])
@pytest.mark.parametrize("images", [1, 2, 7])
def test_class_agnostic(session: ort.InferenceSession, images: int, levels: int | None) -> None:
    scores, boxes = random_case(images, images, levels)
    thresholds = torch.tensor(0.3), torch.tensor(0.4), torch.tensor(2000)
    number, boxes_, _, labels = compare(session, scores, boxes, *thresholds, class_agnostic=True)
    assert (number > 20).all()
    for image in range(images):
        found = torch.from_numpy(boxes_[image, : number[image]])
        assert box_iou(found, found).fill_diagonal_(0).max() <= 0.4
        assert set(labels[image, : number[image]].tolist()) == set(range(CLASSES))
    by_class, *_ = compare(session, scores, boxes, *thresholds)
    assert (number < by_class).all()


@pytest.mark.parametrize("score", [1.0, 0.999])
def test_class_agnostic_with_images_that_have_nothing(
    session: ort.InferenceSession, score: float
) -> None:
    scores, boxes = random_case(0, 3)
    scores[1] = 0
    thresholds = torch.tensor(score), torch.tensor(0.5), torch.tensor(10)
    number, *_ = compare(session, scores, boxes, *thresholds, class_agnostic=True)
    assert number[1] == 0
    assert (number[[0, 2]] > 0).all() == (score < 1)


def test_class_agnostic_keeps_each_candidate_once(session: ort.InferenceSession) -> None:
    """With nothing suppressed, there is a row for each candidate, and room for its classes."""
    scores, boxes = random_case(1, 1)
    thresholds = torch.tensor(0.0), torch.tensor(1.0), torch.tensor(2**31 - 1)
    number, boxes_, *_ = compare(session, scores, boxes, *thresholds, class_agnostic=True)
    assert number.tolist() == [MAX_CANDIDATES]
    assert boxes_.shape == (1, MAX_CANDIDATES * CLASSES, 4)


class Cut(nn.Module):
    def __init__(self, max_candidates: int) -> None:
        super().__init__()
        self.max_candidates = max_candidates

    def forward(self, logits: Tensor, s: Tensor, m: Tensor) -> Tensor:
        return candidate_anchors(logits, s, m, self.max_candidates)


@pytest.mark.parametrize("most", [50, 2 * ANCHORS])
@pytest.mark.parametrize("vary", [False, True], ids=["fixed", "varying"])
def test_candidates_of_logits_of_which_many_are_equal(most: int, vary: bool) -> None:
    axes = {0: torch.export.Dim("N")} | ({1: torch.export.Dim("A")} if vary else {})
    program = torch.onnx.export(
        Cut(most).eval(),
        (torch.rand(2, ANCHORS, CLASSES), torch.tensor(0.3), torch.tensor(10)),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=(axes, None, None),
        input_names=["logits", "s", "m"],
        custom_translation_table=ONNX_TRANSLATIONS,
    )
    session = ort.InferenceSession(program.model_proto.SerializeToString())
    numbers = set()
    for images, anchors in ((1, ANCHORS), (3, 40 if vary else ANCHORS)):
        generator = torch.Generator().manual_seed(images)
        logits = torch.randint(-90, -20, (images, anchors, CLASSES), generator=generator) / 10
        for settings in ((0.0, 10), (0.1, 10), (0.5, 10), (0.5, 30), (0.5, 0), (2.0, 2**31 - 1)):
            s, m = torch.tensor(settings[0]), torch.tensor(settings[1])
            (top,) = session.run(None, {"logits": logits.numpy(), "s": s.numpy(), "m": m.numpy()})
            np.testing.assert_array_equal(top, candidate_anchors(logits, s, m, most).numpy())
            numbers.add(top.shape[1])
    assert {1, 10, 30, min(most, ANCHORS)} <= numbers
