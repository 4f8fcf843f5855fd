"""A small graph of three layers, its package, and what the precision tests do with graphs."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from service.imaging.input_spec import Letterbox
from service.imaging.resize import ModelInput, to_input
from service.manifest import read_manifest
from tests.packages import CLASSIFIER
from tests.paths import ROOT

SPEC = Letterbox(
    height=16,
    width=16,
    interpolation="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
)


def small_graph(spec: Letterbox) -> onnx.ModelProto:
    """Pixels, normalised; a convolution, a padded pooling, a convolution, a sum, a class layer."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    std, mean = np.array(spec.std, np.float32), np.array(spec.mean, np.float32)
    values = {
        "scale": (1 / (spec.unit * std)).reshape(1, 3, 1, 1),
        "shift": (-mean / std).reshape(1, 3, 1, 1),
        "network.stem.conv.weight": weight(8, 3, 3, 3),
        "network.stem.conv.bias": weight(8),
        "network.stages.0.conv.weight": weight(8, 8, 3, 3),
        "network.classifier.weight": weight(4, 8),
        "network.classifier.bias": weight(4),
        "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "lowest": np.array(np.finfo(np.float32).min, np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [
        helper.make_node("Transpose", ["images"], ["chw"], "permute", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["chw"], ["real"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"], "scale_pixels"),
        helper.make_node("Add", ["scaled", "shift"], ["normal"], "shift_pixels"),
        helper.make_node(
            "Conv",
            ["normal", "network.stem.conv.weight", "network.stem.conv.bias"],
            ["stem"],
            "stem",
            pads=[1, 1, 1, 1],
        ),
        helper.make_node("Relu", ["stem"], ["positive"], "relu"),
        helper.make_node("Pad", ["positive", "pads", "lowest"], ["padded"], "pad"),
        helper.make_node(
            "MaxPool", ["padded"], ["pooled"], "pool", kernel_shape=[3, 3], strides=[2, 2]
        ),
        helper.make_node(
            "Conv", ["pooled", "network.stages.0.conv.weight"], ["stage"], "stage", pads=[1] * 4
        ),
        helper.make_node("Add", ["pooled", "stage"], ["sum"], "residual"),
        helper.make_node("ReduceMean", ["sum", "axes"], ["mean"], "mean", keepdims=0),
        helper.make_node(
            "Gemm",
            ["mean", "network.classifier.weight", "network.classifier.bias"],
            ["logits"],
            "classify",
            transB=1,
        ),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def small_package(store: Path, name: str) -> Path:
    """The graph as a package, ``store``/<name>/1: loaded and run in next to no time."""
    shipped = read_manifest(ROOT / "model_store" / CLASSIFIER / "1" / "manifest.json")
    content = small_graph(SPEC).SerializeToString()
    ((images,), (probabilities,)) = shipped.inputs, shipped.outputs
    changes = {
        "name": name,
        "labels": shipped.labels[:4],
        "input": SPEC,
        "inputs": (images.model_copy(update={"shape": ("N", SPEC.height, SPEC.width, 3)}),),
        "outputs": (probabilities.model_copy(update={"shape": ("N", 4)}),),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    folder = store / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    shipped.model_copy(update=changes).write(folder / "manifest.json")
    return folder


def run(model: onnx.ModelProto | Path, **feeds: Any) -> list[Any]:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, feeds)


def photos_of(pixels: np.ndarray[Any, Any], spec: Letterbox) -> list[ModelInput]:
    """Images uint8 [N, H, W, 3] as photos are read."""
    return [to_input(Image.fromarray(image), spec) for image in pixels]


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def in_float(model: onnx.ModelProto) -> set[str]:
    """Layers whose weights are not in 8 bits."""
    weights = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    layers = (node for node in model.graph.node if node.op_type in ("Conv", "Gemm"))
    return {node.name for node in layers if node.input[1] in weights}


def changed(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], Any]) -> onnx.ModelProto:
    """A copy that ``change`` has had its way with, checked."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy)
    onnx.checker.check_model(copy, full_check=True)
    return copy
