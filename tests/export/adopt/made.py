"""Made files: small seeded networks with the exact outputs and metadata of a family's exporter.

Each takes a photo of 64 x 64, pools it to the places of a pyramid and gives each place the channels
that the family's head gives. Files are in the opset and with the fixed batch that exporters write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxscript import GraphBuilder, ir

from export.adopt.decoders.row import Given
from service.manifest import Label

SIDE = 64
CLASSES = ("cat", "dog", "owl")
STRIDES = (8, 16, 32)
Op = Any
Value = Any


class Maker:
    """Adds nodes to a file; ``op`` is onnxscript's builder."""

    def __init__(self, op: Op, seed: int = 0) -> None:
        self.op = op
        self.random = np.random.default_rng(seed)

    def weights(self, *shape: int, scale: float = 1.0) -> Value:
        values = (self.random.standard_normal(shape) * scale).astype(np.float32)
        return self.op.initializer(ir.tensor(values), f"weight_{self.random.integers(1 << 30)}")

    def constant(self, values: Any, dtype: type = np.float32) -> Value:
        array = np.asarray(values, dtype)
        return self.op.initializer(ir.tensor(array), f"constant_{self.random.integers(1 << 30)}")

    def level(self, images: Value, stride: int, channels: int, scale: float = 3.0) -> Value:
        """A map [1, channels, 64 / stride, 64 / stride] of normal values."""
        pooled = self.op.AveragePool(
            images, kernel_shape=[stride, stride], strides=[stride, stride]
        )
        centred = self.op.Sub(pooled, 0.5)
        weight = self.weights(channels, 3, 1, 1, scale=scale)
        return self.op.Conv(centred, weight, self.weights(channels, scale=0.5))

    def places(
        self,
        images: Value,
        channels: int,
        strides: Sequence[int] = STRIDES,
        scale: float = 3.0,
    ) -> Value:
        """[1, channels, A] of all places."""
        levels = [
            self.op.Reshape(self.level(images, stride, channels, scale), [1, channels, -1])
            for stride in strides
        ]
        return self.op.Concat(*levels, axis=2)

    def split(self, value: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        parts = self.op.Split(value, list(sizes), axis=axis, _outputs=len(sizes))
        return list(parts)


@dataclass(frozen=True)
class Made:
    """A file to make. expected: the row that the finder must choose."""

    name: str
    expected: str
    make: Callable[[Maker, Value], Mapping[str, Value]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE)
    dtype: ir.DataType = ir.DataType.FLOAT
    opset: int = 17
    batching: str = "rewritten"
    given: Given = field(default_factory=Given)
    labels: tuple[Label, ...] | None = None

    def write(self, folder: Path, seed: int = 0) -> Path:
        """Write the file; returns its path."""
        graph = ir.Graph([], [], nodes=[], opset_imports={"": self.opset}, name=self.name)
        builder = GraphBuilder(graph)
        images = builder.input("images", self.dtype, list(self.shape))
        for name, value in self.make(Maker(builder.op, seed), images).items():
            builder.add_output(value, name)
        model = ir.to_proto(ir.Model(graph, ir_version=8))
        for output in model.graph.output:
            if not output.type.tensor_type.elem_type:
                output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        for key, text in self.metadata.items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, text
        path = folder / f"{self.name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path


NAMES = str(dict(enumerate(CLASSES)))
ULTRALYTICS = {"names": NAMES, "imgsz": f"[{SIDE}, {SIDE}]", "task": "detect", "stride": "32"}


def centres(maker: Maker, strides: Sequence[int], per_place: int = 1) -> Value:
    """Centres of the places in pixels, [1, 2, A], and their strides, [1, 1, A]."""
    rows = []
    for stride in strides:
        y, x = np.mgrid[: SIDE // stride, : SIDE // stride]
        points = (np.stack((x, y)).reshape(2, -1) + 0.5) * stride
        rows.append(np.concatenate((points, np.full((1, points.shape[1]), stride))))
    return maker.constant(np.tile(np.concatenate(rows, axis=1), per_place)[None])


def decoded(maker: Maker, raw: Value, strides: Sequence[int], per_place: int = 1) -> Value:
    """[1, 4, A] of cxcywh in pixels."""
    op = maker.op
    offset, size = maker.split(raw, [2, 2], 1)
    point, stride = maker.split(centres(maker, strides, per_place), [2, 1], 1)
    centre = op.Add(op.Mul(op.Sub(op.Sigmoid(offset), 0.5), stride), point)
    return op.Concat(centre, op.Mul(op.Add(op.Sigmoid(size), 0.5), op.Mul(stride, 2.0)), axis=1)


def yolov8(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    boxes = decoded(maker, raw, STRIDES)
    return {"output0": op.Concat(boxes, op.Sigmoid(scores), axis=1)}


def anchored(classes: int) -> Callable[[Maker, Value], dict[str, Value]]:
    """YOLOv5 and YOLOv7: three anchors a place."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op = maker.op
        parts = [maker.places(images, 5 + classes) for _ in range(3)]
        raw, scores = maker.split(op.Concat(*parts, axis=2), [4, 1 + classes], 1)
        boxes = decoded(maker, raw, STRIDES, per_place=3)
        rows = op.Concat(boxes, op.Sigmoid(scores), axis=1)
        return {"output0": op.Transpose(rows, perm=[0, 2, 1])}

    return make


def yolov6(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    ones = maker.constant(np.ones((1, 1, 84)))
    rows = op.Concat(decoded(maker, raw, STRIDES), ones, op.Sigmoid(scores), axis=1)
    return {"outputs": op.Transpose(rows, perm=[0, 2, 1])}


def yolox(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    places = maker.places(op.Mul(images, 1 / 255), 5 + len(CLASSES))
    raw, scores = maker.split(places, [4, 4], 1)
    rows = op.Concat(raw, op.Sigmoid(scores), axis=1)
    return {"output": op.Transpose(rows, perm=[0, 2, 1])}


def yolox_decoded(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    places = maker.places(op.Mul(images, 1 / 255), 5 + len(CLASSES))
    raw, scores = maker.split(places, [4, 4], 1)
    rows = op.Concat(decoded(maker, raw, STRIDES), op.Sigmoid(scores), axis=1)
    return {"output": op.Transpose(rows, perm=[0, 2, 1])}


def dfl_heads(
    strides: Sequence[int], batchless: bool
) -> Callable[[Maker, Value], dict[str, Value]]:
    """NanoDet and PicoDet: scores and distributions level by level."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op, classes = maker.op, len(CLASSES)
        scores, sides = {}, {}
        for stride in strides:
            found, bins = maker.split(maker.level(images, stride, classes + 32), [classes, 32], 1)
            for kind, value, depth in (
                (scores, op.Sigmoid(found), classes),
                (sides, bins, 32),
            ):
                shape, perm = ([depth, -1], [1, 0]) if batchless else ([1, depth, -1], [0, 2, 1])
                name = f"{'cls' if kind is scores else 'reg'}_{stride}"
                kind[name] = op.Transpose(op.Reshape(value, shape), perm=perm)
        return {**scores, **sides}

    return make


def nanodet_plus(maker: Maker, images: Value) -> dict[str, Value]:
    op, classes = maker.op, len(CLASSES)
    rows = maker.places(images, classes + 32, (8, 16, 32, 64))
    scores, bins = maker.split(rows, [classes, 32], 1)
    return {"output": op.Transpose(op.Concat(op.Sigmoid(scores), bins, axis=1), perm=[0, 2, 1])}


def best_rows(maker: Maker, images: Value, rows: int) -> Value:
    """[1, rows, 6] of left, top, right, bottom, score, class, the best first."""
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    boxes = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
    probabilities = op.Sigmoid(scores)
    best, top = op.TopK(op.ReduceMax(probabilities, axes=[1], keepdims=0), [rows], _outputs=2)
    label = op.Cast(op.ArgMax(probabilities, axis=1, keepdims=0), to=1)
    chosen = op.GatherND(op.Transpose(boxes, perm=[0, 2, 1]), op.Unsqueeze(top, [2]), batch_dims=1)
    labels = op.GatherElements(label, top, axis=1)
    return op.Concat(chosen, op.Unsqueeze(best, [2]), op.Unsqueeze(labels, [2]), axis=2)


def suppressed(maker: Maker, images: Value) -> dict[str, Value]:
    """[1, 30, 6] after the file's own NonMaxSuppression, filled up with zeros."""
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    boxes = op.Transpose(
        op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1), perm=[0, 2, 1]
    )
    probabilities = op.Sigmoid(scores)
    limits = (maker.constant([10], np.int64), maker.constant([0.45]), maker.constant([0.25]))
    kept = op.NonMaxSuppression(boxes, probabilities, *limits)
    image, label, place = maker.split(kept, [1, 1, 1], 1)
    found = op.Unsqueeze(op.GatherND(probabilities, kept), [1])
    chosen = op.GatherND(boxes, op.Concat(image, place, axis=1))
    rows = op.Concat(chosen, found, op.Cast(label, to=1), axis=1)
    missing = op.Sub(maker.constant([30], np.int64), op.Shape(rows, start=0, end=1))
    zero = maker.constant([0], np.int64)
    filled = op.Pad(rows, op.Concat(zero, zero, missing, zero, axis=0))
    return {"output0": op.Unsqueeze(filled, [0])}


def end_to_end(maker: Maker, images: Value) -> dict[str, Value]:
    return {"output0": best_rows(maker, images, 30)}


def classifier(
    classes: int = 5, nhwc: bool = False, end: str | None = None
) -> Callable[[Maker, Value], dict[str, Value]]:
    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op = maker.op
        pixels = op.Transpose(images, perm=[0, 3, 1, 2]) if nhwc else images
        pooled = op.GlobalAveragePool(maker.level(pixels, 8, 16))
        logits = op.Gemm(op.Flatten(op.Relu(pooled)), maker.weights(16, classes))
        return {"probabilities" if end else "logits": getattr(op, end)(logits) if end else logits}

    return make


MADE = (
    Made("yolov8", "yolov8", yolov8, {**ULTRALYTICS, "license": "AGPL-3.0 License"}),
    Made("yolov8_dynamic", "yolov8", yolov8, ULTRALYTICS, ("batch", 3, SIDE, SIDE)),
    Made("yolov5", "yolov5", anchored(3), {"names": NAMES, "stride": "32"}, opset=12),
    Made("yolov5_one_class", "yolov5", anchored(1), {"names": "{0: 'cat'}"}),
    Made(
        "yolov7_one_class",
        "yolov7",
        anchored(1),
        given=Given("yolov7"),
        labels=(Label(id=0, name="cat"),),
    ),
    Made("yolov6", "yolov6", yolov6, {"names": NAMES}),
    Made("yolox", "yolox", yolox, {"names": NAMES}, opset=11),
    Made("yolox_decoded", "yolox_decoded", yolox_decoded, {"names": NAMES}, opset=11),
    Made("nanodet", "nanodet", dfl_heads(STRIDES, True), {"names": NAMES}, opset=11),
    Made("nanodet_plus", "nanodet_plus", nanodet_plus, {"names": NAMES}, opset=11),
    Made("picodet", "picodet", dfl_heads((8, 16, 32, 64), False), {"names": NAMES}, opset=11),
    Made("yolov10", "yolo_end_to_end", end_to_end, {**ULTRALYTICS, "end2end": "True"}),
    Made("yolov8_nms", "yolo_nms", suppressed, ULTRALYTICS, batching="scan"),
    Made("logits", "classifier", classifier(), {"names": "['a', 'b', 'c', 'd', 'e']"}),
    Made("softmax", "classifier", classifier(end="Softmax"), {"names": "['a','b','c','d','e']"}),
    Made("sigmoid", "classifier", classifier(end="Sigmoid"), {"names": "['a','b','c','d','e']"}),
)
