"""The gate finds what differs from a real network, however little."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.onnx.trace import to_onnx
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import check_parity
from export.parity.model import onnx_model, torch_model
from models.checkpoints import load_checkpoint
from models.variants import VARIANTS
from models.weights import load_into
from service.manifest import Task
from service.package import open_package
from service.provenance import Parity
from tests.export.tampering import scale_first_weights

Tamper = Callable[[onnx.ModelProto], None]


def shift_last_class(model: onnx.ModelProto) -> None:
    """Labels one too high, everything else right."""
    where = next(node for node in model.graph.node if "labels" in node.output)
    one = onnx.numpy_helper.from_array(np.array(1), "one")
    model.graph.initializer.append(one)
    shifted = onnx.helper.make_node("Add", [where.input[1], "one"], ["shifted"])
    where.input[1] = "shifted"
    model.graph.node.insert(list(model.graph.node).index(where), shifted)


@pytest.fixture(scope="module")
def traced(checkpoint: Path) -> tuple[torch.nn.Module, bytes]:
    """A detector's graph in PyTorch and in ONNX."""
    variant = VARIANTS[checkpoint.stem]
    network = variant.build(len(load_checkpoint(checkpoint).labels))
    load_into(network, load_checkpoint(checkpoint).state, "")
    graph = build_graph(network, variant.input)
    return graph, to_onnx(variant, graph).SerializeToString()


def check(
    graph: torch.nn.Module,
    session: ort.InferenceSession,
    pixels: list[np.ndarray],
    task: Task = "detection",
) -> Parity:
    models = torch_model(graph), onnx_model(session)
    return check_parity(task, *models, pixels, TOLERANCES["fp32"])


@pytest.mark.full
@pytest.mark.parametrize("tamper", [scale_first_weights, shift_last_class])
def test_gate_catches_a_graph_that_is_not_the_model(
    traced: tuple[torch.nn.Module, bytes], photos: Path, tamper: Tamper
) -> None:
    graph, content = traced
    spec = VARIANTS["efficientdet_lite0"].input
    pixels = [photo.pixels for photo in read_photos(photos, spec)]
    model = onnx.load_from_string(content)
    tamper(model)
    with pytest.raises(ParityError, match="have no match on the other side"):
        check(graph, ort.InferenceSession(model.SerializeToString()), pixels)


def test_gate_catches_a_classifier_that_differs(
    imagenet_weights: Path, store: Path, photos: Path
) -> None:
    variant = VARIANTS["efficientnet_lite0"]
    network = variant.build(1000)
    load_into(network, load_checkpoint(imagenet_weights).state, "")
    session = open_package(store / "efficientnet_lite0_imagenet" / "1").session
    pixels = [p.pixels for p in read_photos(photos, variant.input)]
    check(build_graph(network, variant.input), session, pixels, "classification")
    with torch.no_grad():
        network.classifier.bias[0] += 2
    with pytest.raises(ParityError, match="probabilities differ"):
        check(build_graph(network, variant.input), session, pixels, "classification")
