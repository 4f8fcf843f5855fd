"""YOLOv8's outputs in all that its exporter's options, and others' converters, vary."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxscript import ir

from tests.export.adopt.maker import (
    CLASSES,
    SIDE,
    STRIDES,
    ULTRALYTICS,
    Made,
    Maker,
    Value,
    decoded,
)

ONE = {**ULTRALYTICS, "names": "{0: 'cat'}"}


def yolov8(
    classes: int = len(CLASSES),
    strides: Sequence[int] = STRIDES,
    sides: tuple[int, int] = (SIDE, SIDE),
) -> Callable[[Maker, Value], dict[str, Value]]:
    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op = maker.op
        raw, scores = maker.split(maker.places(images, 4 + classes, strides), [4, classes], 1)
        boxes = decoded(maker, raw, strides, sides=sides)
        return {"output0": op.Concat(boxes, op.Sigmoid(scores), axis=1)}

    return make


def nhwc(maker: Maker, images: Value) -> dict[str, Value]:
    """As converters of TensorFlow leave it."""
    return yolov8()(maker, maker.op.Transpose(images, perm=[0, 3, 1, 2]))


def of_8_bits(maker: Maker, images: Value) -> dict[str, Value]:
    """Pixels are normalised in the file."""
    return nhwc(maker, maker.op.Mul(maker.op.Cast(images, to=TensorProto.FLOAT), 1 / 255))


def of_pixels(maker: Maker, images: Value) -> dict[str, Value]:
    """The same in float, in the order of the network's own normalisation."""
    return yolov8()(maker, maker.op.Div(maker.op.Sub(images, 127.5), 127.5))


def windowed(maker: Maker, images: Value) -> dict[str, Value]:
    """YOLO12's attention within areas: a photo's places become the rows of a batch of four."""
    op, classes = maker.op, len(CLASSES)
    places = op.Transpose(maker.places(images, 4 + classes), perm=[0, 2, 1])
    areas = op.Reshape(places, [4, 21, 4 + classes])
    mixed = op.Sub(areas, op.ReduceMean(areas, axes=[1]))
    back = op.Transpose(op.Reshape(mixed, [1, 84, 4 + classes]), perm=[0, 2, 1])
    raw, scores = maker.split(back, [4, classes], 1)
    return {"output0": op.Concat(decoded(maker, raw, STRIDES), op.Sigmoid(scores), axis=1)}


def halve(model: onnx.ModelProto) -> None:
    """Inputs, weights and outputs in float16, as half=True exports."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16


MADE = (
    Made("yolov8", "yolov8", yolov8(), {**ULTRALYTICS, "license": "AGPL-3.0 License"}),
    Made("yolov8_dynamic", "yolov8", yolov8(), ULTRALYTICS, ("batch", 3, SIDE, SIDE)),
    Made("yolov8_any_size", "yolov8", yolov8(), ULTRALYTICS, ("batch", 3, "height", "width")),
    Made("yolov8_one_class", "yolov8", yolov8(1), ONE),
    Made("yolov8_wide", "yolov8", yolov8(sides=(64, 96)), ULTRALYTICS, (1, 3, 64, 96)),
    Made("yolov8_p2", "yolov8", yolov8(strides=(4, *STRIDES)), ULTRALYTICS),
    Made("yolov8_half", "yolov8", yolov8(), ULTRALYTICS, dtype=ir.DataType.FLOAT16, edit=halve),
    Made("yolov8_nhwc", "yolov8", nhwc, ULTRALYTICS, (1, SIDE, SIDE, 3)),
    Made(
        "yolov8_of_8_bits",
        "yolov8",
        of_8_bits,
        ULTRALYTICS,
        (1, SIDE, SIDE, 3),
        ir.DataType.UINT8,
    ),
    Made("yolov8_of_pixels", "yolov8", of_pixels, ULTRALYTICS),
    Made("yolov8_opset_22", "yolov8", yolov8(), ULTRALYTICS, opset=22),
    Made("yolov12", "yolov8", windowed, ULTRALYTICS),
)
