"""Made classifiers, as PyTorch's exporter and tf2onnx write them."""

from collections.abc import Callable

import numpy as np
from onnxscript import ir

from tests.export.adopt.maker import SIDE, Made, Maker, Value

LETTERS = "['a', 'b', 'c', 'd', 'e']"
NHWC = ("batch", SIDE, SIDE, 3)
STEP = 1 / 256  # of probabilities in 8 bits


def classifier(end: str | None = None) -> Callable[[Maker, Value], dict[str, Value]]:
    """Five classes, of logits or what ``end`` makes of them."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        found = logits(maker, images)
        return {"probabilities": getattr(maker.op, end)(found)} if end else {"logits": found}

    return make


def logits(maker: Maker, images: Value) -> Value:
    op = maker.op
    pooled = op.Relu(op.GlobalAveragePool(maker.level(images, 8, 16)))
    return op.Gemm(op.Flatten(pooled), maker.weights(16, 5))


def keras_in_8_bits(maker: Maker, images: Value) -> dict[str, Value]:
    """A MobileNet of Keras, its last layer in 8 bits whose range is found as it runs."""
    op = maker.op
    pooled = op.GlobalAveragePool(maker.level(op.Transpose(images, perm=[0, 3, 1, 2]), 8, 16))
    features = op.Flatten(op.Relu(pooled))
    levels, step, zero = op.DynamicQuantizeLinear(features, _outputs=3)
    rounded = op.DequantizeLinear(levels, step, zero)
    weights = maker.constant(maker.random.integers(-99, 99, (16, 5)), np.int8)
    floats = op.DequantizeLinear(weights, maker.constant(0.02), maker.constant(0, np.int8))
    return {"MobilenetV2/predictions:0": op.Softmax(op.MatMul(rounded, floats))}


def in_8_bits(maker: Maker, images: Value) -> dict[str, Value]:
    """8 bits in, 8 bits out, as tf2onnx makes them of a quantised TFLite model."""
    op = maker.op
    scale, zero = maker.constant(1 / 127.5), maker.constant(127, np.uint8)
    pixels = op.Transpose(op.DequantizeLinear(images, scale, zero), perm=[0, 3, 1, 2])
    shares = op.Softmax(logits(maker, pixels))
    return {"shares": op.QuantizeLinear(shares, maker.constant(STEP), maker.constant(0, np.uint8))}


MADE = (
    Made("logits", "classifier", classifier(), {"names": LETTERS}),
    Made("softmax", "classifier", classifier("Softmax"), {"names": LETTERS}),
    Made("sigmoid", "classifier", classifier("Sigmoid"), {"names": LETTERS}),
    Made(
        "keras",
        "classifier",
        keras_in_8_bits,
        {"names": LETTERS},
        NHWC,
        batching="dynamic",
    ),
    Made(
        "tflite_in_8_bits",
        "classifier",
        in_8_bits,
        {"names": LETTERS},
        NHWC,
        ir.DataType.UINT8,
        batching="dynamic",
    ),
)
