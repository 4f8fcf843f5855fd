"""The parity gate: a candidate must answer as its reference does, or there is no package."""

from export.parity.cases import BATCH_SIZES, Case, stack
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import (
    check_classifier,
    check_detector,
    compare_classifiers,
    compare_detectors,
)
from export.parity.model import Feeds, Model, Outputs, onnx_model, torch_model

__all__ = [
    "BATCH_SIZES",
    "TOLERANCES",
    "Case",
    "Feeds",
    "Model",
    "Outputs",
    "ParityError",
    "check_classifier",
    "check_detector",
    "compare_classifiers",
    "compare_detectors",
    "onnx_model",
    "stack",
    "torch_model",
]
