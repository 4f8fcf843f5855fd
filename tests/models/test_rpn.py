"""Region proposals against a loop, and the two-stage network around them."""

import math

import pytest
import torch
from torch import nn

from models.anchors import AnchorSettings
from models.faster_rcnn import FasterRCNN, FasterRCNNSettings
from models.fpn import FPN
from models.rpn import RegionProposalNetwork, RPNHead
from tests.models.overlap import overlap

SQUARE = ((1.0, 1.0),)
ANCHORS = AnchorSettings(sizes=((16.0,), (32.0,)), ratios=SQUARE, strides=(8, 16))


def reading_rpn(anchors: AnchorSettings = ANCHORS) -> RegionProposalNetwork:
    """A network of one anchor a cell whose head reads logit and deltas off its input's channels.

    The head's ReLU lets no negative value through, so each value takes two channels: see `level`.
    """
    rpn = RegionProposalNetwork(10, anchors).eval()
    nn.init.dirac_(rpn.head.conv.weight)
    difference = torch.kron(torch.eye(5), torch.tensor([[1.0, -1.0]]))[:, :, None, None]
    with torch.no_grad():
        rpn.head.objectness.weight.copy_(difference[:1])
        rpn.head.deltas.weight.copy_(difference[1:])
    return rpn


def level(logits: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """logits [N, H, W] and deltas [N, H, W, 4] as the input of a `reading_rpn` [N, 10, H, W]."""
    values = torch.cat((logits[..., None], deltas), dim=-1)
    pairs = torch.stack((values, -values), dim=-1).relu()
    return pairs.flatten(3).permute(0, 3, 1, 2)


def naive_proposals(
    levels: list[tuple[list, list]], size: int
) -> list[tuple[float, tuple[float, ...]]]:
    """(score, box) of one image, the best first; ``levels`` are logits [H][W], deltas [H][W][4]."""
    proposals = []
    for (logits, deltas), (side,), stride in zip(
        levels, ANCHORS.sizes, ANCHORS.strides, strict=True
    ):
        candidates = []
        for row, line in enumerate(logits):
            for column, logit in enumerate(line):
                dx, dy, dw, dh = deltas[row][column]
                x, y = (column + 0.5) * stride + dx * side, (row + 0.5) * stride + dy * side
                w, h = side * math.exp(dw), side * math.exp(dh)
                corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                box = [min(max(corner, 0), size) for corner in corners]
                if box[2] - box[0] >= 1e-3 and box[3] - box[1] >= 1e-3:
                    candidates.append((1 / (1 + math.exp(-logit)), box))
        kept = []
        for score, box in sorted(candidates, reverse=True):
            if all(overlap(box, other) <= 0.7 for _, other in kept):
                kept.append((score, box))
        proposals += kept
    return sorted(proposals, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_proposals_are_those_of_a_loop(seed: int) -> None:
    """Two images of 96 pixels: boxes that overlap much, cross the border, or lie outside."""
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(2, s, s, generator=generator) * 3 for s in (12, 6)]
    deltas = [torch.randn(2, s, s, 4, generator=generator) * 0.8 for s in (12, 6)]
    pyramid = [level(*pair) for pair in zip(logits, deltas, strict=True)]
    boxes, scores = reading_rpn()(pyramid, 96, 96)
    for image in range(2):
        arrays = [
            (a[image].tolist(), b[image].tolist()) for a, b in zip(logits, deltas, strict=True)
        ]
        expected = naive_proposals(arrays, 96)
        count = len(expected)
        assert 50 < count < 180
        torch.testing.assert_close(
            scores[image, :count], torch.tensor([score for score, _ in expected])
        )
        torch.testing.assert_close(
            boxes[image, :count], torch.tensor([box for _, box in expected]), atol=1e-3, rtol=0
        )
        assert (scores[image, count:] == 0).all()
        assert (boxes[image, count:] == 0).all()


def test_proposals_are_inside_the_image_best_first_and_padded_with_zeros() -> None:
    generator = torch.Generator().manual_seed(3)
    pyramid = [
        level(
            torch.randn(1, h, w, generator=generator), torch.randn(1, h, w, 4, generator=generator)
        )
        for h, w in ((8, 12), (4, 6))
    ]
    boxes, scores = reading_rpn()(pyramid, 64, 96)
    assert boxes.shape == (1, 1000, 4)
    assert scores.shape == (1, 1000)
    assert boxes.min() == 0
    assert boxes[..., 0::2].max() == 96
    assert boxes[..., 1::2].max() == 64
    assert (scores.diff() <= 0).all()
    found = int((scores > 0).sum())
    assert 0 < found < 120
    assert (boxes[0, :found, 2:] - boxes[0, :found, :2] >= 1e-3).all()
    assert (boxes[0, found:] == 0).all()


def one_box_a_level(first: float, second: float) -> list[torch.Tensor]:
    """Levels of one cell each whose anchors both become the box from 0 to 16."""
    none = torch.zeros(1, 1, 1, 4)
    half = torch.tensor([0.0, 0, math.log(0.5), math.log(0.5)]).expand(1, 1, 1, 4)
    return [
        level(torch.full((1, 1, 1), first), none),
        level(torch.full((1, 1, 1), second), half),
    ]


def test_proposals_of_different_levels_do_not_suppress_each_other() -> None:
    anchors = AnchorSettings(sizes=((16.0,), (32.0,)), ratios=SQUARE, strides=(16, 16))
    boxes, scores = reading_rpn(anchors)(one_box_a_level(1.0, 2.0), 16, 16)
    torch.testing.assert_close(boxes[0, :2], torch.tensor([[0.0, 0, 16, 16]] * 2))
    expected = torch.tensor([2.0, 1.0, -torch.inf]).sigmoid()
    torch.testing.assert_close(scores[0, :3], expected)


@pytest.mark.parametrize(("shift", "count"), [(2.9, 2), (2.7, 1)])
def test_proposals_of_one_level_suppress_each_other_above_iou_seven_tenths(
    shift: float, count: int
) -> None:
    """Boxes of 16 pixels d apart overlap by (16 - d) / (16 + d): .694 at 2.9, .711 at 2.7."""
    logits = torch.full((1, 1, 2), -200.0)  # whose sigmoid is 0
    anchors = AnchorSettings(sizes=((16.0,), (32.0,)), ratios=SQUARE, strides=(16, 16))
    deltas = torch.zeros(1, 1, 2, 4)
    logits[0, 0] = torch.tensor([1.0, 2.0])
    deltas[0, 0, 1, 0] = shift / 16 - 1  # the second cell is 16 pixels to the right
    nothing = level(torch.full((1, 1, 1), -200.0), torch.zeros(1, 1, 1, 4))
    boxes, scores = reading_rpn(anchors)([level(logits, deltas), nothing], 64, 64)
    assert int((scores > 0).sum()) == count
    torch.testing.assert_close(boxes[0, 0], torch.tensor([shift, 0.0, shift + 16, 16.0]))


def test_proposals_of_less_than_a_thousandth_of_a_pixel_are_dropped() -> None:
    wide = torch.tensor([[0.0020, 8.0], [8.0, 0.0020], [0.0005, 8.0], [8.0, 0.0005]])
    deltas = torch.zeros(1, 1, 4, 4)
    deltas[0, 0, :, 2:] = (wide / 16).log()
    logits = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    nothing = level(torch.full((1, 1, 1), -200.0), torch.zeros(1, 1, 1, 4))
    _, scores = reading_rpn()([level(logits, deltas), nothing], 64, 64)
    torch.testing.assert_close(scores[0, :3], torch.tensor([2.0, 1.0, -torch.inf]).sigmoid())


def test_proposals_that_lie_outside_the_image_are_dropped() -> None:
    deltas = torch.zeros(1, 1, 2, 4)
    deltas[0, 0, 1, 0] = -5.0  # 80 pixels to the left
    nothing = level(torch.full((1, 1, 1), -200.0), torch.zeros(1, 1, 1, 4))
    rpn = reading_rpn()
    _, scores = rpn([level(torch.ones(1, 1, 2), deltas), nothing], 64, 64)
    assert int((scores > 0).sum()) == 1


def test_a_level_contributes_its_thousand_best_and_no_more() -> None:
    """The finer level's 1000 best are all the whole image, so NMS leaves one of them; the other
    600 of its anchors, small and apart, came too late. All 400 of the coarser level stay."""
    whole, small = math.log(62.5), math.log(0.25)
    fine_deltas = torch.zeros(1, 40, 40, 4)
    fine_deltas[..., 2:] = small
    fine_deltas[:, :25, :, 2:] = whole
    fine_logits = torch.linspace(3, 2, 1600).reshape(1, 40, 40)
    coarse_deltas = torch.zeros(1, 20, 20, 4)
    coarse_deltas[..., 2:] = small
    coarse_logits = torch.linspace(-2, -3, 400).reshape(1, 20, 20)
    pyramid = [level(fine_logits, fine_deltas), level(coarse_logits, coarse_deltas)]
    boxes, scores = reading_rpn()(pyramid, 320, 320)
    assert int((scores > 0).sum()) == 401
    assert boxes[0, 0].tolist() == [0, 0, 320, 320]
    torch.testing.assert_close(scores[0, 1:401], coarse_logits.flatten().sigmoid())


def test_at_most_a_thousand_proposals_are_kept_of_all_levels() -> None:
    small = torch.zeros(1, 40, 20, 4)
    small[..., 2:] = math.log(0.25)
    logits = torch.linspace(3, -3, 1600)
    pyramid = [level(part.reshape(1, 40, 20), small) for part in (logits[0::2], logits[1::2])]
    anchors = AnchorSettings(sizes=((16.0,), (16.0,)), ratios=SQUARE, strides=(8, 8))
    boxes, scores = reading_rpn(anchors)(pyramid, 320, 160)
    assert boxes.shape == (1, 1000, 4)
    torch.testing.assert_close(scores[0], logits[:1000].sigmoid())


def test_proposals_of_an_image_do_not_depend_on_its_batch() -> None:
    generator = torch.Generator().manual_seed(4)
    pyramid = [
        level(
            torch.randn(3, s, s, generator=generator), torch.randn(3, s, s, 4, generator=generator)
        )
        for s in (12, 6)
    ]
    rpn = reading_rpn()
    boxes, scores = rpn(pyramid, 96, 96)
    for image in range(3):
        alone = rpn([x[image : image + 1] for x in pyramid], 96, 96)
        torch.testing.assert_close((boxes[image : image + 1], scores[image : image + 1]), alone)


def test_the_head_is_a_3x3_convolution_then_relu_and_two_1x1() -> None:
    """Written out for one place, with the outputs in the order cell, anchor, value."""
    torch.manual_seed(0)
    head = RPNHead(4, 3).double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        logits, deltas = head(x)
    assert logits.shape == (1, 90)
    assert deltas.shape == (1, 90, 4)
    row, column = 2, 3
    patch = x[0, :, row - 1 : row + 2, column - 1 : column + 2]
    hidden = ((head.conv.weight * patch).sum(dim=(1, 2, 3)) + head.conv.bias).clamp(min=0)
    first = (row * 6 + column) * 3
    for anchor in range(3):
        objectness = head.objectness.weight[anchor, :, 0, 0] @ hidden + head.objectness.bias[anchor]
        torch.testing.assert_close(logits[0, first + anchor], objectness.detach())
        for value in range(4):
            channel = anchor * 4 + value
            delta = head.deltas.weight[channel, :, 0, 0] @ hidden + head.deltas.bias[channel]
            torch.testing.assert_close(deltas[0, first + anchor, value], delta.detach())


def test_p6_of_a_two_stage_pyramid_is_every_second_cell_of_p5() -> None:
    torch.manual_seed(0)
    fpn = FPN((2, 3, 4, 5), 6, "subsampled P5")
    features = [
        torch.randn(1, c, s, s + 1) for c, s in zip((2, 3, 4, 5), (40, 20, 10, 5), strict=True)
    ]
    *_, p5, p6 = fpn(features)
    assert p6.shape == (1, 6, 3, 3)
    torch.testing.assert_close(p6, p5[:, :, ::2, ::2])
    assert not any(name.startswith(("p6", "p7")) for name, _ in fpn.named_parameters())


def test_p6_of_torchvisions_first_retinanet_is_convolved_from_p5() -> None:
    fpn = FPN((1, 1, 1), 1, "convolved P5")
    for conv in fpn.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.dirac_(conv.weight)
    nn.init.constant_(fpn.output[-1].bias, 7.0)
    *_, p5, p6, p7 = fpn([torch.full((1, 1, s, s), -3.0) for s in (16, 8, 4)])
    assert [x.unique().tolist() for x in (p5, p6, p7)] == [[4], [4], [4]]
    assert [tuple(x.shape) for x in (p6, p7)] == [(1, 1, 2, 2), (1, 1, 1, 1)]


@pytest.fixture(scope="module", params=["align", "pool"])
def faster_rcnn(request: pytest.FixtureRequest) -> FasterRCNN:
    torch.manual_seed(0)
    settings = FasterRCNNSettings("resnet18", request.param, channels=8, hidden=16)
    return FasterRCNN(settings, num_classes=3).eval().double()


@torch.no_grad()
def test_faster_rcnn_says_of_each_proposal_what_the_background_and_each_class_gets(
    faster_rcnn: FasterRCNN,
) -> None:
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)).double()
    logits, deltas, proposals, scores = faster_rcnn(images)
    assert logits.shape == (2, 1000, 4)
    assert deltas.shape == (2, 1000, 4, 4)
    assert proposals.shape == (2, 1000, 4)
    assert scores.shape == (2, 1000)
    assert (scores[:, 0] > 0).all()
    assert proposals[..., 0::2].max() <= 96
    assert proposals[..., 1::2].max() <= 64
    assert logits.isfinite().all()
    assert deltas.isfinite().all()


@torch.no_grad()
def test_faster_rcnn_answers_for_an_image_as_if_it_were_alone(faster_rcnn: FasterRCNN) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    together = faster_rcnn(images)
    alone = [faster_rcnn(image[None]) for image in images]
    for index, output in enumerate(together):
        expected = torch.cat([outputs[index] for outputs in alone])
        torch.testing.assert_close(output, expected)


@torch.no_grad()
def test_the_second_stage_is_two_layers_over_each_region(faster_rcnn: FasterRCNN) -> None:
    regions = torch.randn(3, 8, 7, 7, generator=torch.Generator().manual_seed(2)).double()
    head = faster_rcnn.region_head
    logits, deltas = head(regions)
    for row in range(3):
        x = regions[row].reshape(-1)
        for layer in (head.fc6, head.fc7):
            x = (layer.weight @ x + layer.bias).clamp(min=0)
        torch.testing.assert_close(logits[row], head.logits.weight @ x + head.logits.bias)
        for label in range(4):
            rows = slice(4 * label, 4 * label + 4)
            expected = head.deltas.weight[rows] @ x + head.deltas.bias[rows]
            torch.testing.assert_close(deltas[row, label], expected)
