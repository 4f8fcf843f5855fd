"""The whole path as one graph, with the inputs and outputs of docs/graph.md.

images uint8 [N, H, W, 3] ─ normalise ─ network ─ decode ─ select ─► detections
images uint8 [N, H, W, 3] ─ normalise ─ network ─ decode ──────────► probabilities

A network that takes one photo at a time is the body of a Scan, with the first part of its decoder:

images ─ normalise ─ [ network ─ decode ] photo by photo ─ boxes ─ select ─► detections
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnxscript import GraphBuilder, evaluator, ir

from export.adopt.batch import BATCH, Batching
from export.adopt.cleaning import IR_VERSION
from export.adopt.decoders.row import Candidates, Op, Value, as_they_are, constant
from export.adopt.foreign import Foreign
from export.adopt.plan import Plan
from export.onnx.checks import check_graph, check_size
from export.onnx.nodes import IMAGES, drop_unused_nodes
from export.onnx.operators import best_candidates, select_detections_in_onnx
from export.onnx.passes import fold_pads, strip_metadata
from export.onnx.trace import MAX_DETECTIONS_AXIS, OPSET
from models.postprocess import MAX_CANDIDATES
from service.imaging.input_spec import InputSpec
from service.manifest import ClassificationManifest, DetectionManifest

PREFIX = "network."  # of the file's own names, so that they meet none of ours
TYPES = {"float": ir.DataType.FLOAT, "float16": ir.DataType.FLOAT16, "uint8": ir.DataType.UINT8}
SETTINGS = {  # run-time inputs of a detector, beside the images
    "score_threshold": ir.DataType.FLOAT,
    "iou_threshold": ir.DataType.FLOAT,
    "max_detections": ir.DataType.INT64,
    "class_agnostic": ir.DataType.BOOL,
}
OUTPUTS: dict[str, tuple[ir.DataType, list[int | str]]] = {
    "num_detections": (ir.DataType.INT64, [BATCH]),
    "boxes": (ir.DataType.FLOAT, [BATCH, MAX_DETECTIONS_AXIS, 4]),
    "scores": (ir.DataType.FLOAT, [BATCH, MAX_DETECTIONS_AXIS]),
    "labels": (ir.DataType.INT64, [BATCH, MAX_DETECTIONS_AXIS]),
}


def build(plan: Plan, network: onnx.ModelProto, batching: Batching) -> onnx.ModelProto:
    """The package's graph around ``network``, which is the file's for any batch, or with "scan" for
    one photo.

    Raises GraphError or onnx.checker.ValidationError if the result fails a check.
    """
    graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name="boxport")
    builder, file = GraphBuilder(graph), plan.foreign
    images = builder.input(IMAGES, ir.DataType.UINT8, [BATCH, file.height, file.width, 3])
    pixels = normalise(builder.op, images, plan.input, file)
    if plan.decoder.task == "classification":
        outputs = _classify(builder.op, plan, network, batching, pixels)
    else:
        settings = [builder.input(name, kind, []) for name, kind in SETTINGS.items()]
        outputs = _detect(builder.op, plan, network, batching, pixels, settings)
    for name, (value, kind, shape) in outputs.items():
        output = builder.op.Identity(value)
        output.type, output.shape = ir.TensorType(kind), ir.Shape(shape)
        builder.add_output(output, name)
    return _checked(ir.to_proto(ir.Model(graph, ir_version=IR_VERSION)))


Outputs = Mapping[str, tuple[Value, ir.DataType, Sequence[int | str]]]


def _classify(
    op: Op, plan: Plan, network: onnx.ModelProto, batching: Batching, pixels: Value
) -> Outputs:
    (probabilities,) = _run(op, plan, network, batching, pixels)[0]
    (name,) = ClassificationManifest.OUTPUTS
    return {name: (probabilities, ir.DataType.FLOAT, [BATCH, len(plan.labels)])}


def _detect(
    op: Op,
    plan: Plan,
    network: onnx.ModelProto,
    batching: Batching,
    pixels: Value,
    settings: Sequence[Value],
) -> Outputs:
    score_threshold, iou_threshold, max_detections, class_agnostic = settings
    (scores, rows), found = _run(op, plan, network, batching, pixels)
    anchors = None if found.anchors is None else constant(op, found.anchors, "anchors")
    if found.to_boxes is not as_they_are:
        with recorded(op):
            best = op.ReduceMax(scores, [2], keepdims=0)
            top = best_candidates(best, best, score_threshold, max_detections, MAX_CANDIDATES)
        index = op.Unsqueeze(top, [-1])
        scores = op.GatherND(scores, index, batch_dims=1)
        rows = op.GatherND(rows, index, batch_dims=1)
        anchors = None if anchors is None else op.Gather(anchors, top, axis=0)
    scores.shape = ir.Shape([BATCH, None, len(plan.labels)])
    boxes = clipped(op, found.to_boxes(op, rows, anchors), plan.foreign)
    with recorded(op):
        outputs = select_detections_in_onnx(
            scores,
            boxes,
            score_threshold,
            iou_threshold,
            max_detections,
            MAX_CANDIDATES,
            class_agnostic,
        )
    return {
        name: (value, *OUTPUTS[name])
        for name, value in zip(DetectionManifest.OUTPUTS, outputs, strict=True)
    }


def normalise(op: Op, images: Value, spec: InputSpec, file: Foreign) -> Value:
    """uint8 [N, H, W, 3] -> what the network reads: (x * scale - mean) / std of each channel, in
    its order and layout. One that reads 8 bits gets the pixels as they are."""
    pixels, axis = images, 3
    if file.layout == "nchw":
        pixels, axis = op.Transpose(pixels, perm=[0, 3, 1, 2]), 1
    if spec.channel_order == "bgr":  # whole planes where it can be: byte by byte takes ten times
        order = constant(op, np.array([2, 1, 0]), "normalise.channels")
        pixels = op.Gather(pixels, order, axis=axis)
    channels = [3 if place == axis else 1 for place in range(4)]
    if file.image.dtype == "uint8":
        return pixels
    mean, std = np.array(spec.mean), np.array(spec.std)
    scale = (spec.scale / std).astype(np.float32).reshape(channels)
    shift = (-mean / std).astype(np.float32).reshape(channels)
    pixels = op.Mul(op.Cast(pixels, to=ir.DataType.FLOAT), constant(op, scale, "normalise.scale"))
    pixels = op.Add(pixels, constant(op, shift, "normalise.shift"))
    return op.Cast(pixels, to=TYPES["float16"]) if file.image.dtype == "float16" else pixels


def clipped(op: Op, boxes: Value, file: Foreign) -> Value:
    """Boxes inside the input, none that ends before it begins."""
    limit = constant(op, np.array([file.width, file.height], np.float32), "limit")
    first, second = (
        op.Min(op.Max(corner, 0.0), limit)
        for corner in op.Split(boxes, [2, 2], axis=-1, _outputs=2)
    )
    return op.Concat(first, op.Max(first, second), axis=-1)


def _run(
    op: Op, plan: Plan, network: onnx.ModelProto, batching: Batching, pixels: Value
) -> tuple[list[Value], Any]:
    """The network and its decoder: values for the whole batch, and what the decoder gave."""
    if batching != "scan":
        found = _decode(op, plan, network, pixels, BATCH)
        return _values(found), found
    photo = ir.Value(name="photo", type=pixels.type, shape=ir.Shape(list(pixels.shape)[1:]))
    body = ir.Graph([photo], [], nodes=[], opset_imports={"": OPSET}, name="photo")
    inside = GraphBuilder(body, parent=op.builder)
    inside.push_module("photo")
    found = _decode(inside.op, plan, network, inside.op.Unsqueeze(photo, [0]), 1)
    values = _values(found)
    for value in values:
        inside.add_output(inside.op.Squeeze(value, [0]), None)
    stacked = op.Scan(pixels, body=body, num_scan_inputs=1, _outputs=len(values))
    return list(stacked) if len(values) > 1 else [stacked], found


def _values(found: Any) -> list[Value]:
    return [found.scores, found.rows] if isinstance(found, Candidates) else [found]


def _decode(op: Op, plan: Plan, network: onnx.ModelProto, pixels: Value, batch: str | int) -> Any:
    """The network on ``pixels``, and its decoder on what it gives."""
    file, match = plan.foreign, plan.match
    feeds = {file.image.name: pixels}
    for name, values in file.extras.items():
        feeds[name] = constant(op, values, f"{PREFIX}{name}")
        if batch != 1:
            ones = [1] * (values.ndim - 1)
            shape = op.Concat(op.Shape(pixels, start=0, end=1), ones, axis=0)
            feeds[name] = op.Expand(feeds[name], shape)
    outputs = []
    for name, value in _inlined(op.builder, network, feeds, match.outputs).items():
        shape = list(file.answers[name].shape)
        if name in match.batchless:
            shape = [1, *shape]
            value = op.Unsqueeze(value, [0]) if batch == 1 else value
        if value.dtype == ir.DataType.FLOAT16:  # decoders compute in float32
            value = op.Cast(value, to=ir.DataType.FLOAT)
        if name not in match.varying:
            value.shape = ir.Shape([batch, *shape[1:]])
        value.type = ir.TensorType(ir.DataType.from_numpy(file.answers[name].dtype))
        outputs.append(value)
    return plan.decoder.graph(op, outputs, plan.layout)


def _inlined(
    builder: GraphBuilder,
    network: onnx.ModelProto,
    feeds: Mapping[str, Value],
    outputs: Sequence[str],
) -> dict[str, Value]:
    """Add the network's nodes to the graph, reading ``feeds``; the values of its ``outputs``."""
    inner = ir.from_proto(network).graph
    known = {value.name: value for value in inner.outputs}
    for value in inner.inputs:
        ir.convenience.replace_all_uses_with(value, feeds[str(value.name)])
    for node in inner.all_nodes():
        node.name = PREFIX + (node.name or str(node.outputs[0].name))
        for value in node.outputs:
            if value.name:
                value.name = PREFIX + value.name
    for name, value in list(inner.initializers.items()):
        del inner.initializers[name]
        value.name = PREFIX + name
        builder.root.graph.register_initializer(value)
    nodes = list(inner)
    inner.outputs.clear()
    inner.remove(nodes)
    builder.graph.extend(nodes)
    return {name: known[name] for name in outputs}


@contextmanager
def recorded(op: Op) -> Iterator[None]:
    """While it lasts, the operators of `export.onnx.operators` add nodes with ``op``."""
    with evaluator.default_as(_Recorder(op)):
        yield


class _Recorder:
    """What onnxscript's operators call to compute: this one writes down instead."""

    def __init__(self, op: Op) -> None:
        self._op = op

    def eval_op(self, op: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        outputs = len(op.op_schema.outputs)
        return getattr(self._op, op.name)(*args, **kwargs, _outputs=outputs)

    def eval_function(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        raise TypeError(f"{function} is made of operators, and none itself: it would be no node")


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of its values, once it has passed the checks of every package."""
    drop_unused_nodes(model)
    fold_pads(model)
    strip_metadata(model)
    check_size(model.ByteSize())
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    check_graph(model, OPSET)
    return model
