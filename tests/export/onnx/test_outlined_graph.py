"""A detector's graph with a snake outlines each detection as PyTorch does, in any batch."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from export.onnx.graph import build_graph, outputs_of
from export.onnx.nodes import is_layer, network_nodes
from export.onnx.trace import describe, to_onnx
from export.parity.answers import check_rows
from export.parity.cases import Case
from export.parity.comparison import TOLERANCES, Tally, compare_detections
from export.parity.layers import onnx_layers
from export.parity.model import feeds_of, onnx_model, open_quietly, torch_model
from export.precision.half import to_half
from models.anchors import efficientdet_anchors
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.heads import join_levels
from models.postprocess import MOST_OUTLINED
from models.snake import VERTICES, DeepSnake, SnakeSettings
from models.variants import HALF, Variant, letterbox
from service.manifest import CONTOURS, DETECTION_OUTPUTS
from service.matching import Detections

SIDE = 64
SPEC = letterbox(SIDE, HALF, HALF)


class Levels(nn.Module):
    """P3 and P4 of an image."""

    channels = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, self.channels, 8, stride=8), nn.BatchNorm2d(6)

    def forward(self, images: Tensor) -> list[Tensor]:
        finest = self.norm(self.conv(images)).relu()
        return [finest, nn.functional.max_pool2d(finest, 2)]


class Head(nn.Module):
    def __init__(self, values: int, per_cell: int) -> None:
        super().__init__()
        self.values, self.conv = values, nn.Conv2d(Levels.channels, values * per_cell, 1)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self.conv(level) for level in pyramid], self.values)


@pytest.fixture(scope="module")
def graph() -> nn.Module:
    torch.manual_seed(0)
    anchors = efficientdet_anchors(2.0, levels=2)
    heads = Head(3, anchors.per_cell), Head(4, anchors.per_cell)
    network = OneStageDetector(nn.Identity(), Levels(), *heads, anchors, BoxCoder())
    network.snake = DeepSnake(6, SnakeSettings(features=4, width=8, fused=6, hidden=(8, 4)))
    for part in (network.snake.extremes, *network.snake.iterations):
        nn.init.normal_(part.offsets.weight, std=0.3)
    return build_graph(network, SPEC)


@pytest.fixture(scope="module")
def model(graph: nn.Module) -> onnx.ModelProto:
    return to_onnx(Variant("detection", lambda classes: graph, SPEC), graph)


@pytest.fixture(scope="module")
def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return open_quietly(model)


def test_contours_are_an_output_beside_the_boxes(graph: nn.Module, model: onnx.ModelProto) -> None:
    assert outputs_of("detection", graph) == (*DETECTION_OUTPUTS, CONTOURS)
    contours = describe(model.graph.output)[-1]
    assert (contours.name, contours.dtype) == (CONTOURS, "float")
    assert contours.shape == ("N", "K", VERTICES, 2)


@pytest.mark.parametrize(
    ("threshold", "most"), [(0.3, 100), (0.5, 7), (0.0, 400), (0.999, 100), (0.3, 1)]
)
@pytest.mark.parametrize("images", [1, 3])
def test_answers_are_those_of_pytorch(
    graph: nn.Module, session: ort.InferenceSession, images: int, threshold: float, most: int
) -> None:
    rng = np.random.default_rng(most)
    batch = rng.integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    batch[0] //= 4  # so that numbers of detections differ
    theirs, ours = torch_model(graph), onnx_model(session)
    feeds = feeds_of(ours.inputs, batch, threshold, 0.5, most)
    expected, found = theirs.run(feeds), ours.run(feeds)
    assert [one.shape for one in expected] == [other.shape for other in found]
    for image in range(images):
        check_rows(found, image, threshold, most)
        case = Case("", batch, "", threshold, 0.5, most)
        tally = Tally()
        sides = (Detections.from_outputs(outputs, image) for outputs in (expected, found))
        assert not len(compare_detections(*sides, case, TOLERANCES["fp32"], tally))
        assert tally.contour < 0.1
    numbers, boxes, contours = found[0], found[1], found[-1]
    for number, sides, rows in zip(numbers, boxes[..., 2:] - boxes[..., :2], contours, strict=True):
        seen = min(number, MOST_OUTLINED)
        whole = sides[:seen].min(axis=1) > 1  # others lie beyond the image's edge
        assert rows[:seen][whole].any(axis=(1, 2)).all()
        assert not rows[number:].any()
        assert not rows[MOST_OUTLINED:].any()
    if threshold == 0.999:
        assert not numbers.any()


def test_a_contour_that_lies_elsewhere_is_another_answer(
    session: ort.InferenceSession,
) -> None:
    batch = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    ours = onnx_model(session)
    found = Detections.from_outputs(ours.run(feeds_of(ours.inputs, batch, 0.4, 0.5, 20)), 0)
    moved = found.contours.copy()
    moved[2, 77] += 0.2
    case = Case("", batch, "", 0.4, 0.5, 20)
    other = replace(found, contours=moved)
    for precision, lost in (("fp32", 2), ("int8", 0)):
        missed = compare_detections(found, other, case, TOLERANCES[precision], Tally())
        assert len(missed) == lost


def test_the_snake_is_no_part_of_the_network(model: onnx.ModelProto) -> None:
    network, weighted = network_nodes(model), [n for n in model.graph.node if n.op_type == "Conv"]
    layers = [node for node in weighted if is_layer(node)]
    assert len(layers) == 1 + 2 * 2  # of the pyramid, and of two heads on two levels
    assert network.issuperset(node.name for node in layers)
    assert len(weighted) > len(layers)
    assert not [node for node in weighted if node.name in network and node not in layers]
    suppressions = [n.name for n in model.graph.node if n.op_type == "NonMaxSuppression"]
    assert not network.intersection(suppressions)


def test_in_half_precision_contours_stay_exact_to_the_features(
    model: onnx.ModelProto, session: ort.InferenceSession
) -> None:
    half = open_quietly(to_half(model))
    batch = np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    feeds = feeds_of(onnx_model(half).inputs, batch, 0.6, 0.5, 1)
    expected, found = session.run(None, feeds), half.run(None, feeds)
    assert found[-1].dtype == np.float32
    np.testing.assert_allclose(found[-1], expected[-1], atol=0.5)


def test_each_value_of_the_graph_can_be_read(model: onnx.ModelProto) -> None:
    batch = np.random.default_rng(3).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    layers = onnx_layers(model, "fp32")
    values = layers.run(feeds_of([i.name for i in model.graph.input], batch, 0.4, 0.5, 5))
    assert values[CONTOURS].shape[2:] == (VERTICES, 2)
