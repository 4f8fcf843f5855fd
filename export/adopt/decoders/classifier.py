"""Plain classifiers: one row of logits or probabilities for each photo."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from export.adopt.decoders.row import (
    IMAGENET,
    RAW,
    Given,
    Layout,
    Match,
    Op,
    Told,
    Value,
)
from export.adopt.foreign import Foreign
from export.adopt.safety import ForeignError
from export.onnx.nodes import constants, makers
from export.settings import Settings
from service.runtime.graph_facts import ACTIVATIONS, PASSED_OVER

TYPES = (np.float32, np.float16, np.uint8)
SMALLEST = 1e-9  # added to whole steps, so that a photo without any has a share for each class
CROP = 0.875  # of the scaled photo's shorter side, that is left; Ultralytics leaves all
# keras.applications' `preprocess_input` by the model's name, which tf2onnx keeps in the nodes'
TF = Settings(scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)
CAFFE = Settings(scale=1.0, mean=(103.939, 116.779, 123.68), channel_order="bgr")
KERAS: tuple[tuple[str, Settings], ...] = (
    ("mobilenetv3", RAW),
    ("efficientnet", RAW),
    ("convnext", RAW),
    ("mobilenet", TF),
    ("inception", TF),
    ("xception", TF),
    ("nasnet", TF),
    ("resnet50v2", TF),
    ("resnet101v2", TF),
    ("resnet152v2", TF),
    ("densenet", IMAGENET),
    ("resnet", CAFFE),
    ("vgg", CAFFE),
)


def recognise(file: Foreign, given: Given) -> Match | None:
    if len(file.answers) != 1:
        return None
    ((name, values),) = file.answers.items()
    is_row = values.ndim == 2 or (values.ndim == 4 and values.shape[2:] == (1, 1))
    if not is_row or len(values) != 1 or values.dtype not in TYPES:
        return None
    classes, found = int(values.shape[1]), _activation(file, name)
    asked = given.settings.get("activation")
    if found is not None and asked not in (None, found):
        raise ForeignError(f"{file.path}: it ends in a {found}, and --activation says {asked}")
    activation = found or asked or ("softmax" if classes > 1 else None)
    if activation is None or (activation == "softmax" and classes == 1):
        raise ForeignError(
            f"{file.path}: has one output, whose share of one (softmax) is 1 for every photo; if it"
            " is the logit of yes or no, pass --activation sigmoid and the label of yes"
        )
    settings: dict[str, Any] = {"activation": activation, "logits": found is None}
    if values.dtype == np.uint8:
        settings["step"], settings["zero"] = _quantisation(file, name)
    ends = f"ends in a {found}" if found else "ends in logits"
    return Match((name,), classes, f"{name} is {list(values.shape)}, and {ends}", settings)


def _activation(file: Foreign, output: str) -> str | None:
    """What the file ends with, or None for logits."""
    making = makers(file.model)
    node = making.get(output)
    while node is not None and node.op_type in (*PASSED_OVER, "Flatten"):
        node = making.get(node.input[0])
    found = None if node is None else ACTIVATIONS.get(node.op_type)
    values = file.answers[output]
    if found is None and values.dtype != np.uint8 and values.size > 1:
        adds_up = bool((values >= 0).all()) and abs(float(values.sum()) - 1) < 1e-3
        return "softmax" if adds_up else None
    return found


def _quantisation(file: Foreign, output: str) -> tuple[float, int]:
    """Step and zero point of an output in 8 bits, which its QuantizeLinear has."""
    values, node = constants(file.model), makers(file.model).get(output)
    if node is None or node.op_type != "QuantizeLinear":
        return 1 / 256, 0
    zero = values[node.input[2]] if len(node.input) > 2 else np.array(0)
    return float(values[node.input[1]].reshape(())), int(zero.reshape(()))


def preprocessing(file: Foreign) -> Told:
    """By the metadata, or by the names of a file of Keras."""
    side = max(file.height, file.width)
    if file.fact("task") == "classify":
        why = "task of the metadata: Ultralytics' classify_transforms"
        known = dict.fromkeys(("channel order", "normalisation", "resize", "interpolation"), why)
        return Told(Settings(resize="centre_crop", shorter_side=side), known)
    is_keras = file.layout == "nhwc" and file.image.dtype != "uint8"
    told = _keras(file) if is_keras else Told(IMAGENET)
    cropped = replace(told.preprocessing, resize="centre_crop", shorter_side=round(side / CROP))
    return Told(cropped, told.why)


def _keras(file: Foreign) -> Told:
    names = " ".join(node.name + " ".join(node.output) for node in file.model.graph.node)
    words = names.lower().replace("_", "").replace("-", "")
    for word, known in KERAS:
        if word in words:
            why = f"nodes are called {word}, and nhwc is Keras's: its preprocess_input"
            return Told(known, {"normalisation": why, "channel order": why})
    return Told(TF)


def graph(op: Op, outputs: Sequence[Value], layout: Layout) -> Value:
    """Probabilities [N, C]."""
    settings = layout.settings
    values = op.Cast(op.Reshape(outputs[0], [0, layout.classes]), to=onnx.TensorProto.FLOAT)
    if "step" in settings:
        values = op.Mul(op.Sub(values, float(settings["zero"])), settings["step"])
        if settings["activation"] == "softmax" and not settings["logits"]:
            # whole steps add up to nearly 1; the order stays
            values = op.Add(values, SMALLEST)
            values = op.Div(values, op.ReduceSum(values, [-1], keepdims=1))
    if not settings["logits"]:
        return values
    sigmoid = settings["activation"] == "sigmoid"
    return op.Sigmoid(values) if sigmoid else op.Softmax(values, axis=-1)
