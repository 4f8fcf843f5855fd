"""An R-CNN's graph reads any number of regions, some at a time, and answers as PyTorch does."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from export.onnx.graph import build_graph, inputs_of
from export.onnx.trace import describe, to_onnx
from export.parity.model import feeds_of, onnx_model, open_quietly, torch_model
from models.rcnn import AT_ONCE, RCNN, RCNNSettings
from models.variants import HALF, Variant, letterbox
from service.manifest import DETECTION_INPUTS, REGIONS


class Small(nn.Module):
    """A classifier with what the exporter must see through: a norm, and two layers."""

    class_layer = "classifier"

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.classifier = nn.Linear(6, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.norm(self.conv(images)).relu().mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def graph() -> nn.Module:
    torch.manual_seed(0)
    network = RCNN(RCNNSettings("", crop=12), Small(), 3)
    nn.init.normal_(network.class_logits.weight, std=2.0)
    return build_graph(network, letterbox(64, HALF, HALF))


@pytest.fixture(scope="module")
def model(graph: nn.Module) -> onnx.ModelProto:
    return to_onnx(Variant("detection", lambda classes: graph, letterbox(64, HALF, HALF)), graph)


@pytest.fixture(scope="module")
def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return open_quietly(model)


def test_regions_are_an_input_of_any_number(graph: nn.Module, model: onnx.ModelProto) -> None:
    assert inputs_of(graph) == (*DETECTION_INPUTS, REGIONS)
    regions = describe(model.graph.input)[-1]
    assert (regions.name, regions.shape) == (REGIONS, ("N", "R", 4))


def test_the_layers_have_their_weights_beside_them(model: onnx.ModelProto) -> None:
    """Or ONNX Runtime takes twice the time for them."""
    (scan,) = [node for node in model.graph.node if node.op_type == "Scan"]
    (body,) = [attribute.g for attribute in scan.attribute if attribute.name == "body"]
    layers = [node for node in body.node if node.op_type == "Conv"]
    assert layers
    read = {name for node in layers for name in node.input[1:]}
    assert read <= {tensor.name for tensor in body.initializer}
    assert read.isdisjoint(tensor.name for tensor in model.graph.initializer)
    assert "class_logits" in " ".join(tensor.name for tensor in model.graph.initializer)


@pytest.mark.parametrize("regions", [1, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE + 1])
@pytest.mark.parametrize("images", [1, 3])
def test_answers_are_those_of_pytorch(
    graph: nn.Module, session: ort.InferenceSession, images: int, regions: int
) -> None:
    rng = np.random.default_rng(regions)
    batch = rng.integers(0, 256, (images, 64, 64, 3), dtype=np.uint8)
    theirs, ours = torch_model(graph), onnx_model(session)
    assert list(ours.inputs) == list(theirs.inputs)
    feeds = feeds_of(ours.inputs, batch, 0.01, 0.5, 50)
    boxes = 60 * rng.random((images, regions, 4), dtype=np.float32)
    boxes[..., 2:] += boxes[..., :2] + 1  # some end beyond the image
    boxes[:, -1:] = np.where(regions > 1, 0, boxes[:, -1:])  # and one is empty
    feeds[REGIONS] = boxes
    expected, found = theirs.run(feeds), ours.run(feeds)
    assert expected[0].min() > 0
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-3)


def test_the_regions_of_the_gate_are_all_over_the_image(session: ort.InferenceSession) -> None:
    images = np.zeros((2, 64, 32, 3), np.uint8)
    regions = feeds_of(onnx_model(session).inputs, images)[REGIONS]
    assert regions.shape[0] == 2
    sides = regions[0, :, 2:] - regions[0, :, :2]
    assert (sides == (32, 64)).all(axis=1).any()  # the whole
    assert (sides == 0).all(axis=1).any()
    assert regions[..., 3].max() > 64
    assert REGIONS not in feeds_of(DETECTION_INPUTS, images)
