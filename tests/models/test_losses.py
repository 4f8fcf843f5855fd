"""Losses and their gradients against naive float64 arithmetic; matching by hand."""

import math

import pytest
import torch

from models.box_coder import BoxCoder
from models.losses import (
    BACKGROUND,
    IGNORED,
    DetectionLoss,
    anchors_within,
    hard_negatives,
    huber_loss,
    match_anchors,
    sigmoid_focal_loss,
    smooth_l1_loss,
)

ANCHORS = torch.tensor(
    [[0.0, 0, 10, 10], [0, 0, 10, 20], [5, 0, 15, 10], [50, 50, 60, 60]], dtype=torch.float64
)


def naive_focal(logit: float, target: float, alpha: float, gamma: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    if target == 1:
        return -alpha * (1 - p) ** gamma * math.log(p)
    return -(1 - alpha) * p**gamma * math.log(1 - p)


def naive_quality_focal(logit: float, target: float, alpha: float, gamma: float) -> float:
    """arXiv 2006.04388, equation 2, with the share of each alpha."""
    p = 1 / (1 + math.exp(-logit))
    cross_entropy = -(target * math.log(p) + (1 - target) * math.log(1 - p))
    share = alpha * target + (1 - alpha) * (1 - target)
    return share * abs(target - p) ** gamma * cross_entropy


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("target", [0.0, 0.2, 0.73, 1.0])
def test_focal_loss_of_a_soft_target_and_its_gradient(target: float, gamma: float) -> None:
    values = [-6.0, -1.0, -0.1, 0.0, 0.7, 3.0]
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.full_like(logits, target), 0.25, gamma)
    expected = [naive_quality_focal(v, target, 0.25, gamma) for v in values]
    torch.testing.assert_close(loss.detach(), torch.tensor(expected, dtype=torch.float64))
    loss.sum().backward()
    step = 1e-6
    slopes = [
        (
            naive_quality_focal(v + step, target, 0.25, gamma)
            - naive_quality_focal(v - step, target, 0.25, gamma)
        )
        / (2 * step)
        for v in values
    ]
    expected_slopes = torch.tensor(slopes, dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected_slopes, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_focal_loss_and_its_gradient(target: float, gamma: float) -> None:
    values = [-6.0, -1.0, -0.1, 0.0, 0.7, 3.0]
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.full_like(logits, target), 0.25, gamma)
    expected = [naive_focal(v, target, 0.25, gamma) for v in values]
    torch.testing.assert_close(loss.detach(), torch.tensor(expected, dtype=torch.float64))
    loss.sum().backward()
    step = 1e-6
    slopes = [
        (naive_focal(v + step, target, 0.25, gamma) - naive_focal(v - step, target, 0.25, gamma))
        / (2 * step)
        for v in values
    ]
    expected_slopes = torch.tensor(slopes, dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected_slopes, atol=1e-8, rtol=1e-6)


def test_smooth_l1_and_its_gradient() -> None:
    values = [-3.0, -0.05, 0.0, 0.02, 0.1, 2.0]
    errors = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = smooth_l1_loss(errors, beta=0.1)
    expected = [x * x / 0.2 if abs(x) < 0.1 else abs(x) - 0.05 for x in values]
    torch.testing.assert_close(loss.detach(), torch.tensor(expected, dtype=torch.float64))
    loss.sum().backward()
    slopes = [max(-1.0, min(1.0, x / 0.1)) for x in values]
    torch.testing.assert_close(errors.grad, torch.tensor(slopes, dtype=torch.float64))


def test_huber_and_its_gradient() -> None:
    values = [-3.0, -0.2, -0.05, 0.0, 0.08, 2.0]
    errors = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = huber_loss(errors, delta=0.1)
    expected = [x * x / 2 if abs(x) < 0.1 else 0.1 * (abs(x) - 0.05) for x in values]
    torch.testing.assert_close(loss.detach(), torch.tensor(expected, dtype=torch.float64))
    loss.sum().backward()
    slopes = [max(-0.1, min(0.1, x)) for x in values]
    torch.testing.assert_close(errors.grad, torch.tensor(slopes, dtype=torch.float64))


def test_worst_background_is_mined_for_each_image() -> None:
    losses = torch.tensor([[9.0, 1.0, 5.0, 3.0, 8.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    positives = torch.tensor([[True, False, False, False, False, False], [False] * 6])
    negatives = ~positives
    negatives[0, 4] = False  # ignored, however wrong
    mined = hard_negatives(losses, positives, negatives, ratio=2)
    assert mined.tolist() == [
        [False, False, True, True, False, False],
        [False, False, False, False, True, True],  # no object: as many as one would have
    ]


def test_mined_loss_and_its_gradient() -> None:
    """Cross-entropy of the matched anchor and of the worst background, and of nothing else."""
    loss = DetectionLoss(BoxCoder(), class_loss="ohem", negatives_ratio=1)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 4, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    deltas = torch.zeros(1, 4, 4, dtype=torch.float64)
    box = torch.tensor([[0.0, 0, 10, 8.9]], dtype=torch.float64)  # anchor 0; anchor 1 is ignored
    class_loss, _ = loss(logits, deltas, ANCHORS, [box], [torch.tensor([1])])

    def cross_entropy(anchor: int, truth: int | None) -> float:
        return sum(
            naive_focal(logits[0, anchor, c].item(), float(c == truth), 0.5, 0.0) / 0.5
            for c in range(2)
        )

    worst = max((2, 3), key=lambda anchor: cross_entropy(anchor, None))
    assert class_loss.item() == pytest.approx(cross_entropy(0, 1) + cross_entropy(worst, None))
    class_loss.backward()
    probabilities = logits.detach().sigmoid()[0]
    expected = torch.zeros(4, 2, dtype=torch.float64)
    expected[0] = probabilities[0] - torch.tensor([0.0, 1.0])
    expected[worst] = probabilities[worst]
    torch.testing.assert_close(logits.grad[0], expected)


def test_extreme_logits_have_finite_losses() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    sigmoid_focal_loss(logits, torch.tensor([1.0, 0.0]), 0.25, 1.5).sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, BACKGROUND, BACKGROUND]),  # IoU 1, .5, .33, 0
        ([0, 0, 10, 14], [0, 0, BACKGROUND, BACKGROUND]),  # IoU .71, .7, .26, 0
        ([0, 0, 10, 8.9], [0, IGNORED, BACKGROUND, BACKGROUND]),  # IoU .89, .445, .31, 0
        ([40, 40, 52, 52], [BACKGROUND, BACKGROUND, BACKGROUND, 0]),  # IoU .017: the best it has
        ([200, 200, 210, 210], [BACKGROUND] * 4),  # overlaps none
    ],
)
def test_matching_by_overlap(box: list[float], expected: list[int]) -> None:
    boxes = torch.tensor([box], dtype=torch.float64)
    assert match_anchors(ANCHORS, boxes, 0.5, 0.4).tolist() == expected


def test_an_anchor_takes_the_box_that_it_overlaps_most() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 19], [0, 0, 10, 11]], dtype=torch.float64)
    assert match_anchors(ANCHORS, boxes, 0.5, 0.4).tolist()[:2] == [1, 0]


def test_without_boxes_everything_is_background() -> None:
    matches = match_anchors(ANCHORS, torch.zeros(0, 4), 0.5, 0.4)
    assert matches.tolist() == [BACKGROUND] * 4


def test_detection_loss_by_hand() -> None:
    loss = DetectionLoss(BoxCoder())
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    deltas = torch.full((2, 4, 4), 0.3, dtype=torch.float64)
    box = torch.tensor([[0.0, 0, 10, 8.9]], dtype=torch.float64)  # anchor 0; anchor 1 is ignored
    empty = torch.zeros(0, 4, dtype=torch.float64)
    labels = [torch.tensor([2]), torch.zeros(0, dtype=torch.int64)]
    class_loss, box_loss = loss(logits, deltas, ANCHORS, [box, empty], labels)
    expected = sum(
        naive_focal(logits[i, a, c].item(), float((i, a, c) == (0, 0, 2)), 0.25, 1.5)
        for i in range(2)
        for a in range(4)
        for c in range(3)
        if (i, a) != (0, 1)
    )
    assert class_loss.item() == pytest.approx(expected)
    goal = BoxCoder().encode(box, ANCHORS[:1])[0]
    errors = [abs(0.3 - g) for g in goal.tolist()]
    huber = sum(e * e / 0.2 if e < 0.1 else e - 0.05 for e in errors) / 4
    assert box_loss.item() == pytest.approx(5 * huber)


def test_processes_that_share_a_batch_have_its_loss_and_gradient() -> None:
    """One of them has all the objects."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    deltas = torch.randn(2, 4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    boxes = [ANCHORS[[0, 3]], torch.zeros(0, 4, dtype=torch.float64)]
    labels = [torch.tensor([2, 0]), torch.zeros(0, dtype=torch.int64)]

    def gradients(loss: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(loss, (logits, deltas))

    whole = DetectionLoss(BoxCoder())
    matched = 3  # anchor 1 overlaps the first box by half
    expected = gradients(sum(whole(logits, deltas, ANCHORS, boxes, labels)))
    part = DetectionLoss(BoxCoder(), mean_count=lambda count: matched / 2)
    parts = [
        gradients(
            sum(part(logits[i : i + 1], deltas[i : i + 1], ANCHORS, boxes[i : i + 1], [labels[i]]))
        )
        for i in range(2)
    ]
    for mine, theirs, together in zip(*parts, expected, strict=True):
        torch.testing.assert_close((mine + theirs) / 2, together)


def test_box_that_shares_its_anchors_with_a_later_one_is_left_without() -> None:
    twice = ANCHORS[[0, 0]]
    assert match_anchors(ANCHORS, twice, 0.5, 0.4).tolist()[0] == 1
    alone = torch.cat((ANCHORS[[0]], ANCHORS[[3]] + 5))  # overlaps the last anchor by a seventh
    assert match_anchors(ANCHORS, alone, 0.5, 0.4).tolist() == [0, 0, BACKGROUND, 1]


def test_a_batch_without_any_object_still_teaches_background() -> None:
    logits = torch.zeros(1, 4, 2, requires_grad=True)
    deltas = torch.zeros(1, 4, 4, requires_grad=True)
    no_label = [torch.zeros(0, dtype=torch.int64)]
    losses = DetectionLoss(BoxCoder())(
        logits, deltas, ANCHORS.float(), [torch.zeros(0, 4)], no_label
    )
    sum(losses).backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert (logits.grad > 0).all()


def test_anchors_lie_in_a_region_by_half_of_themselves() -> None:
    """Of the four, all, a half, a half and nothing of each lies in the first region."""
    regions = torch.tensor([[0.0, 0, 10, 10], [50, 50, 54, 60]], dtype=torch.float64)
    within = anchors_within(ANCHORS, regions, torch.tensor([2, 0]), 3)
    covered = [[False, False, True], [False, False, True], [False, False, True], [False] * 3]
    assert within.tolist() == covered
    assert not anchors_within(ANCHORS, regions[:0], torch.zeros(0, dtype=torch.int64), 3).any()


@pytest.mark.parametrize("class_loss", ["focal", "ohem"])
def test_a_region_punishes_its_class_nowhere_but_on_an_object(class_loss: str) -> None:
    """Anchors 0 and 1 lie in it; anchor 0 is that of an object of the same class."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 4, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    deltas = torch.zeros(1, 4, 4, dtype=torch.float64)
    boxes = torch.tensor([[0.0, 0, 10, 7.9], [0, 0, 10, 20]], dtype=torch.float64)
    losses = DetectionLoss(BoxCoder(), class_loss=class_loss, negatives_ratio=3)
    scores = torch.tensor([1.0, 0.0], dtype=torch.float64)
    loss, _ = losses(logits, deltas, ANCHORS, [boxes], [torch.tensor([1, 1])], [scores])
    loss.backward()
    unmoved = (logits.grad[0] == 0).nonzero().tolist()
    assert unmoved == [[1, 1], [2, 1]]  # half of anchor 2 lies in it too
    assert logits.grad[0, 0, 1] < 0  # the object is learned


def test_scores_are_targets_and_weigh_boxes() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 4, 2, dtype=torch.float64, generator=generator)
    deltas = torch.full((1, 4, 4), 0.3, dtype=torch.float64)
    boxes = ANCHORS[[0, 3]] + torch.tensor([0.0, 0, 0, -1.1], dtype=torch.float64)
    scores = torch.tensor([0.6, 0.9], dtype=torch.float64)
    labels = torch.tensor([1, 0])
    class_loss, box_loss = DetectionLoss(BoxCoder())(
        logits, deltas, ANCHORS, [boxes], [labels], [scores]
    )
    targets = {(0, 1): 0.6, (3, 0): 0.9}
    expected = sum(
        naive_quality_focal(logits[0, a, c].item(), targets.get((a, c), 0.0), 0.25, 1.5)
        for a in (0, 2, 3)  # anchor 1 overlaps the first box by .445
        for c in range(2)
    )
    assert class_loss.item() == pytest.approx(expected / 2)
    goals = BoxCoder().encode(boxes, ANCHORS[[0, 3]]).tolist()
    errors = [[abs(0.3 - g) for g in goal] for goal in goals]
    smooth = [sum(e * e / 0.2 if e < 0.1 else e - 0.05 for e in row) for row in errors]
    assert box_loss.item() == pytest.approx(5 * (0.6 * smooth[0] + 0.9 * smooth[1]) / 2 / 4)
