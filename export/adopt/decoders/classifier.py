"""Plain classifiers: one row of logits or probabilities for each photo."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from export.adopt.decoders.row import (
    IMAGENET,
    Given,
    Layout,
    Match,
    Op,
    Preprocessing,
    Told,
    Value,
)
from export.adopt.foreign import Foreign
from export.adopt.safety import ForeignError
from export.onnx.nodes import constants, makers
from service.runtime.graph_facts import ACTIVATIONS, PASSED_OVER

TYPES = (np.float32, np.float16, np.uint8)
SMALLEST = 1e-9  # added to whole steps, so that a photo without any has a share for each class
# keras.applications' `preprocess_input` by the model's name, which tf2onnx keeps in the nodes'
TF = Preprocessing(scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3, resize="centre_crop")
CAFFE = Preprocessing(
    scale=1.0, mean=(103.939, 116.779, 123.68), channel_order="bgr", resize="centre_crop"
)
TORCH = Preprocessing(mean=IMAGENET[0], std=IMAGENET[1], resize="centre_crop")
PIXELS = Preprocessing(scale=1.0, resize="centre_crop")
KERAS: tuple[tuple[str, Preprocessing], ...] = (
    ("mobilenetv3", PIXELS),
    ("efficientnet", PIXELS),
    ("convnext", PIXELS),
    ("mobilenet", TF),
    ("inception", TF),
    ("xception", TF),
    ("nasnet", TF),
    ("resnet50v2", TF),
    ("resnet101v2", TF),
    ("resnet152v2", TF),
    ("densenet", TORCH),
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
    """Of a float input by the names in the file; of one in 8 bits there is nothing to do."""
    if file.image.dtype == "uint8":
        return Told(PIXELS, {"normalisation": f"{file.image.name} is uint8: pixels as they are"})
    names = " ".join(node.name + " ".join(node.output) for node in file.model.graph.node)
    words = names.lower().replace("_", "").replace("-", "")
    if file.layout == "nhwc":
        for word, known in KERAS:
            if word in words:
                why = f"nodes are called {word}, and nhwc is Keras's: its preprocess_input"
                return Told(known, {"normalisation": why, "channel order": why})
        return Told(TF)
    return Told(TORCH)


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
