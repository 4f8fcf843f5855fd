"""An export, and ways to spoil it: each tells the output of the node that is then at fault."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.onnx.trace import to_onnx
from export.parity.layers import LayeredModel, torch_layers
from export.parity.model import Feeds, stack
from models.variants import VARIANTS, Variant, at_size
from tests.export.conftest import LABELS, measure_norms, read_images

SIZE = 64

Tamper = Callable[[onnx.ModelProto], str]  # the output of the node that is then at fault


def node_named(model: onnx.ModelProto, output: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if output in node.output)


def node_with(model: onnx.ModelProto, initializer: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if initializer in node.input)


def change_weight(model: onnx.ModelProto, name: str, factor: float) -> str:
    """Scale the first filter of a layer's weights; its node's output."""
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[0] *= np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return node_with(model, name).output[0]


def scale_first_weights(model: onnx.ModelProto) -> None:
    """One convolution's weights a thousandth too large."""
    tensor = next(t for t in model.graph.initializer if t.name.endswith("stem.conv.weight"))
    values = numpy_helper.to_array(tensor) * np.float32(1.001)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def scale_filter(model: onnx.ModelProto) -> str:
    return change_weight(model, "network.backbone.layer2.1.conv2.weight", 1.05)


def shrink_padding(model: onnx.ModelProto) -> str:
    node = node_with(model, "network.backbone.layer3.0.conv1.weight")
    next(a for a in node.attribute if a.name == "pads").ints[:] = [0, 0, 0, 0]
    return node.output[0]


def move_padding(model: onnx.ModelProto) -> str:
    node = node_with(model, "network.backbone.layer3.0.conv1.weight")
    next(a for a in node.attribute if a.name == "pads").ints[:] = [0, 0, 2, 2]
    return node.output[0]


def read_from_elsewhere(model: onnx.ModelProto) -> str:
    """A residual branch that is added to itself."""
    node = [node for node in model.graph.node if node.op_type == "Add"][4]
    node.input[1] = node.input[0]
    return node.output[0]


def subtract(model: onnx.ModelProto) -> str:
    node = [node for node in model.graph.node if node.op_type == "Add"][4]
    node.op_type = "Sub"
    return node.output[0]


def other_operator(model: onnx.ModelProto) -> str:
    node = [node for node in model.graph.node if node.op_type == "Relu"][5]
    node.op_type = "Abs"
    return node.output[0]


def normalise_otherwise(model: onnx.ModelProto) -> str:
    tensor = next(t for t in model.graph.initializer if t.name == "normalise.scale")
    values = numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return node_with(model, "normalise.scale").output[0]


def last_node(model: onnx.ModelProto) -> str:
    node = node_named(model, "probabilities")
    node.op_type = "Sigmoid"
    del node.attribute[:]
    return "probabilities"


def scale_pyramid(model: onnx.ModelProto) -> str:
    name = "pyramid.cells.1.bottom_up.2.conv.pointwise.weight"
    full = next(t.name for t in model.graph.initializer if t.name.endswith(name))
    return change_weight(model, full, 1.5)


def overlap_otherwise(model: onnx.ModelProto) -> str:
    """Suppression that takes no notice of its threshold: what follows it is one with it."""
    node = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.9), "loose"))
    node.input[3] = "loose"
    return "scores"


@dataclass(frozen=True)
class Exported:
    """A graph in PyTorch, its export, its values, and feeds that go through it."""

    variant: Variant
    graph: torch.nn.Module
    model: onnx.ModelProto
    layers: LayeredModel
    photos: list[np.ndarray]

    @property
    def feeds(self) -> Feeds:
        return {"images": stack(self.photos[:2])}

    def tampered(self) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        return copy


def export_graph(variant: Variant, network: torch.nn.Module, photos: Path) -> Exported:
    graph = build_graph(network, variant.input)
    pixels = [p.pixels for p in read_photos(photos, variant.input)]
    return Exported(variant, graph, to_onnx(variant, graph), torch_layers(variant, graph), pixels)


def make_resnet(photos: Path) -> tuple[Variant, torch.nn.Module]:
    torch.manual_seed(0)
    variant = at_size(VARIANTS["resnet18"], SIZE)
    network = variant.build(len(LABELS))
    measure_norms(network.backbone, read_images(variant, photos))
    return variant, network
