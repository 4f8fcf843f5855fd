"""What makes files: small seeded networks with the outputs and metadata of a family's exporter.

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

    def __init__(self, builder: GraphBuilder, seed: int = 0) -> None:
        self.op: Op = builder.op
        self.input = builder.input
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
        batch: int = 1,
    ) -> Value:
        """[1, channels, A] of all places; with ``batch`` 0 of each photo."""
        levels = [
            self.op.Reshape(self.level(images, stride, channels, scale), [batch, channels, -1])
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
    outputs: tuple[str, ...] = ()
    edit: Callable[[onnx.ModelProto], None] | None = None  # of what was made, in place

    def write(self, folder: Path, seed: int = 0) -> Path:
        """Write the file; returns its path."""
        graph = ir.Graph([], [], nodes=[], opset_imports={"": self.opset}, name=self.name)
        builder = GraphBuilder(graph)
        images = builder.input("images", self.dtype, list(self.shape))
        for name, value in self.make(Maker(builder, seed), images).items():
            builder.add_output(value, name)
        model = ir.to_proto(ir.Model(graph, ir_version=8))
        for output in model.graph.output:
            if not output.type.tensor_type.elem_type:
                output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        for key, text in self.metadata.items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, text
        if self.edit is not None:
            self.edit(model)
        path = folder / f"{self.name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path


NAMES = str(dict(enumerate(CLASSES)))
ULTRALYTICS = {"names": NAMES, "imgsz": f"[{SIDE}, {SIDE}]", "task": "detect", "stride": "32"}


def centres(
    maker: Maker,
    strides: Sequence[int],
    per_place: int = 1,
    sides: tuple[int, int] = (SIDE, SIDE),
) -> Value:
    """Centres of the places in pixels, [1, 2, A], and their strides, [1, 1, A]."""
    height, width = sides
    rows = []
    for stride in strides:
        y, x = np.mgrid[: height // stride, : width // stride]
        points = (np.stack((x, y)).reshape(2, -1) + 0.5) * stride
        rows.append(np.concatenate((points, np.full((1, points.shape[1]), stride))))
    return maker.constant(np.tile(np.concatenate(rows, axis=1), per_place)[None])


def decoded(
    maker: Maker,
    raw: Value,
    strides: Sequence[int],
    per_place: int = 1,
    sides: tuple[int, int] = (SIDE, SIDE),
) -> Value:
    """[1, 4, A] of cxcywh in pixels."""
    op = maker.op
    offset, size = maker.split(raw, [2, 2], 1)
    point, stride = maker.split(centres(maker, strides, per_place, sides), [2, 1], 1)
    centre = op.Add(op.Mul(op.Sub(op.Sigmoid(offset), 0.5), stride), point)
    return op.Concat(centre, op.Mul(op.Add(op.Sigmoid(size), 0.5), op.Mul(stride, 2.0)), axis=1)
