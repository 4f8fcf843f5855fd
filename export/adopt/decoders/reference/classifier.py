"""A classifier's probabilities of its output."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def probabilities(outputs: Sequence[Array], layout: Layout) -> Array:
    """[C]: of logits their sigmoid or softmax; of 8 bits the steps, as shares of 1."""
    settings, values = layout.settings, outputs[0].reshape(-1).astype(np.float64)
    if "step" in settings:
        values = (values - settings["zero"]) * settings["step"]
        if settings["activation"] == "softmax" and not settings["logits"]:
            total = values.sum()
            values = values / total if total else np.full(len(values), 1 / len(values))
    if settings["logits"]:
        if settings["activation"] == "sigmoid":
            values = 1 / (1 + np.exp(-values))
        else:
            values = np.exp(values - values.max())
            values /= values.sum()
    return values.astype(np.float32)
