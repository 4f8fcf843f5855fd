"""A graph that is not the model is refused, and its fault is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper, numpy_helper

from export.parity.bisection import (
    NODE_TOLERANCES,
    Bisection,
    LocatedParityError,
    bisect,
    located,
    measure,
)
from export.parity.cases import Case
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import check_parity
from export.parity.layers import LayeredModel, onnx_layers
from export.parity.model import Feeds, onnx_model, torch_model
from models.checkpoints import load_checkpoint
from models.variants import VARIANTS
from models.weights import load_into
from service.manifest import DETECTION_INPUTS
from tests.export.conftest import make_detector
from tests.export.tampering import (
    Exported,
    Tamper,
    export_graph,
    last_node,
    make_resnet,
    move_padding,
    node_named,
    node_with,
    normalise_otherwise,
    other_operator,
    overlap_otherwise,
    read_from_elsewhere,
    scale_filter,
    scale_pyramid,
    shrink_padding,
    subtract,
)

FP32 = NODE_TOLERANCES["fp32"]


@pytest.fixture(scope="module")
def resnet(photos: Path) -> Exported:
    with torch.no_grad():
        return export_graph(*make_resnet(photos), photos)


def test_honest_export_agrees_node_by_node(resnet: Exported) -> None:
    found = bisect(resnet.layers, resnet.model, resnet.feeds, FP32)
    assert found == Bisection("PyTorch", len(resnet.model.graph.node), None, None)
    noise = bisect(resnet.layers, resnet.model, resnet.feeds, 0.0)  # rounding, then
    assert noise.differs.difference.share < FP32 / 10


@pytest.mark.parametrize(
    ("tamper", "operator", "module", "agrees"),
    [
        (scale_filter, "Conv", "backbone.layer2.1.conv2", "backbone.layer2.1.relu"),
        (shrink_padding, "Conv", "backbone.layer3.0.conv1", "backbone.layer2.1.relu"),
        (move_padding, "Conv", "backbone.layer3.0.conv1", "backbone.layer2.1.relu"),
        (read_from_elsewhere, "Add", "backbone.layer2.1", "backbone.layer2.1.conv2"),
        (subtract, "Sub", "backbone.layer2.1", "backbone.layer2.1.conv2"),
        (other_operator, "Abs", "backbone.layer2.0.relu", "backbone.layer2.0.conv1"),
        (normalise_otherwise, "Mul", "normalise", "normalise"),
        (last_node, "Sigmoid", None, "classifier"),
    ],
)
def test_fault_is_named(
    resnet: Exported, tamper: Tamper, operator: str, module: str | None, agrees: str
) -> None:
    model = resnet.tampered()
    output = tamper(model)
    found = bisect(resnet.layers, model, resnet.feeds, FP32)
    differs = found.differs
    assert (differs.op_type, differs.output, differs.module) == (operator, output, module)
    assert differs.difference.share > FP32
    assert found.agrees.module == agrees
    assert found.agrees.difference.share < FP32
    assert found.agrees.output in node_named(model, output).input


def test_shape_that_differs_is_said(resnet: Exported) -> None:
    model = resnet.tampered()
    shrink_padding(model)
    differs = bisect(resnet.layers, model, resnet.feeds, FP32).differs
    assert str(differs.difference) == "its shape is [2, 256, 3, 3], not [2, 256, 4, 4]"


def test_node_that_cannot_run_is_named(resnet: Exported) -> None:
    model = resnet.tampered()
    node = node_with(model, "network.backbone.layer4.0.conv1.weight")
    node.attribute.append(helper.make_attribute("auto_pad", "NONSENSE"))
    differs = bisect(resnet.layers, model, resnet.feeds, FP32).differs
    assert (differs.output, differs.difference.share) == (node.output[0], np.inf)
    assert "auto_pad" in str(differs.difference).lower() or "NONSENSE" in str(differs.difference)


def test_two_onnx_files_are_compared_alike(resnet: Exported) -> None:
    layers = onnx_layers(resnet.model, "the fp32 package")
    honest = bisect(layers, resnet.model, resnet.feeds, FP32)
    assert honest == Bisection("the fp32 package", len(resnet.model.graph.node), None, None)
    model = resnet.tampered()
    output = scale_filter(model)
    differs = bisect(layers, model, resnet.feeds, FP32).differs
    assert (differs.output, differs.module) == (output, "backbone.layer2.1.conv2")


def test_fault_that_only_a_batch_shows_is_named(resnet: Exported) -> None:
    """A reshape that was traced with a fixed batch, such as an exporter may leave."""
    model = resnet.tampered()
    node = node_with(model, "network.classifier.weight")
    value = node.input[0]
    shape = numpy_helper.from_array(np.array([1, -1]), "fixed")
    model.graph.initializer.append(shape)
    squashed = helper.make_node("Reshape", [value, "fixed"], ["squashed"])
    cut = helper.make_node("Slice", ["squashed", "zero", "width", "last"], ["first"])
    width = int(next(t for t in model.graph.initializer if t.name.endswith("fier.weight")).dims[-1])
    for name, number in {"zero": 0, "width": width, "last": 1}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array([number]), name))
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place, squashed)
    model.graph.node.insert(place + 1, cut)
    node.input[0] = "first"
    with pytest.raises(LocatedParityError) as caught:
        check(resnet, model)
    differs = caught.value.bisection.differs
    assert differs.output == node.output[0]
    assert differs.difference.reason == "its shape is [1, 4], not [2, 4]"


def check(
    exported: Exported, model: onnx.ModelProto, layers: Callable[[], LayeredModel] | None = None
) -> None:
    with located(layers or (lambda: exported.layers), model, "fp32"):
        session = ort.InferenceSession(model.SerializeToString())
        models = torch_model(exported.graph), onnx_model(session)
        check_parity(exported.variant.task, *models, exported.photos, TOLERANCES["fp32"])


def test_gate_passes_the_honest_export_and_looks_for_nothing(resnet: Exported) -> None:
    def never() -> LayeredModel:
        raise AssertionError("there is nothing to look for")

    check(resnet, resnet.model, never)


def test_search_that_fails_does_not_hide_what_the_gate_found(resnet: Exported) -> None:
    def broken() -> LayeredModel:
        raise RuntimeError("the tracer\nfailed")

    feeds = resnet.feeds
    with (
        pytest.raises(ParityError, match=r"^all differ \(no node could be named: the tracer\)$"),
        located(broken, resnet.model, "fp32"),
    ):
        raise ParityError("all differ", feeds)


def test_indices_of_equal_values_may_differ(resnet: Exported) -> None:
    """PyTorch's topk takes any of equal values, ONNX's the first."""
    values = np.array([[1.0, 3.0, 3.0, 3.0]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("TopK", ["x", "two"], ["best", "places"], "top"),
            helper.make_node("Neg", ["best"], ["y"]),
        ],
        "ties",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])],
        [
            helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2]),
            helper.make_tensor_value_info("places", onnx.TensorProto.INT64, [1, 2]),
        ],
        [numpy_helper.from_array(np.array([2]), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    best = np.array([[3.0, 3.0]], np.float32)

    def run(feeds: Feeds) -> Feeds:
        return {"best": best, "places": np.array([[3, 1]]), "y": -best}

    found = bisect(LayeredModel("PyTorch", run, {}), model, {"x": values}, FP32)
    assert (found.differs, found.compared) == (None, 2)


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        ([1.0, -2.0], [1.0, -2.0], 0.0),
        ([1.0, -2.0], [1.5, -2.0], 0.25),
        ([0.0, 0.0], [0.0, 0.25], 0.25),
        ([-3.4e38, 2.0], [-3.4e38, 1.0], 0.5),
        ([np.inf, np.nan, 1.0], [np.inf, np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([1.0], [np.inf], np.inf),
        ([], [], 0.0),
        ([1.0], [1.0, 1.0], np.inf),
        ([True, False], [True, True], 1.0),
    ],
)
def test_difference_is_a_share_of_the_greatest_value(
    expected: list[float], actual: list[float], difference: float
) -> None:
    assert measure(np.array(expected), np.array(actual)).share == pytest.approx(difference)


def test_graph_that_cannot_run_fails_the_gate_and_is_searched(resnet: Exported) -> None:
    model = resnet.tampered()
    output = shrink_padding(model)
    with pytest.raises(LocatedParityError, match="ONNX Runtime gives no answer: ") as caught:
        check(resnet, model)
    assert "\n" not in str(caught.value)
    assert caught.value.bisection.differs.output == output


@pytest.mark.full
def test_clip_of_a_real_network_is_named(imagenet_weights: Path, photos: Path) -> None:
    """EfficientNet-Lite0 with its published weights, of whose many clips one gets a lower bound."""
    variant = VARIANTS["efficientnet_lite0"]
    network = variant.build(1000)
    load_into(network, load_checkpoint(imagenet_weights).state, "")
    exported = export_graph(variant, network, photos)
    assert bisect(exported.layers, exported.model, exported.feeds, FP32).differs is None
    model = exported.tampered()
    clip = [node for node in model.graph.node if node.op_type == "Clip"][15]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "lower"))
    clip.input[2] = "lower"
    with pytest.raises(LocatedParityError, match="probabilities differ") as caught:
        check(exported, model)
    found = caught.value.bisection
    assert (found.differs.op_type, found.differs.output) == ("Clip", clip.output[0])
    assert found.differs.module.startswith("backbone.stages.")
    assert found.differs.module.endswith("activation")
    assert (found.agrees.op_type, found.agrees.output) == ("Conv", clip.input[0])


@pytest.fixture(scope="module")
def detector(imagenet_weights: Path, photos: Path) -> Exported:
    network = make_detector("efficientdet_lite0", imagenet_weights, photos)
    return export_graph(VARIANTS["efficientdet_lite0"], network, photos)


@pytest.mark.full
def test_honest_detector_passes_and_agrees_node_by_node(detector: Exported) -> None:
    check(detector, detector.model)
    feeds = Case("", detector.feeds["images"]).feeds(DETECTION_INPUTS)
    found = bisect(detector.layers, detector.model, feeds, FP32)
    assert found.differs is None
    assert found.compared > 400


@pytest.mark.full
@pytest.mark.parametrize(
    ("tamper", "module"),
    [
        (scale_pyramid, "pyramid.cells.1.bottom_up.2.conv.pointwise"),
        (overlap_otherwise, None),
    ],
)
def test_fault_of_a_detector_is_named(
    detector: Exported, tamper: Tamper, module: str | None
) -> None:
    model = detector.tampered()
    output = tamper(model)
    with pytest.raises(LocatedParityError, match="have no match") as caught:
        check(detector, model)
    differs = caught.value.bisection.differs
    assert (differs.output, differs.module) == (output, module)
