"""Calibration: the range that each tensor's values lie in when the model looks at real photos."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from export.parity import Feeds
from export.progress import OnProgress, ignore_progress

Method = Literal["percentile", "entropy", "minmax"]

# How many photos' activations are in memory at once: every tensor of the graph is kept.
PHOTOS_AT_ONCE = 2


@dataclass(frozen=True)
class Calibration:
    """How ranges are found.

    minmax: all that was seen. percentile: without the ``100 - percentile`` per cent that lie
    outermost. entropy: where the least information is lost (Migacz, "8-bit Inference with
    TensorRT", GTC 2017).
    """

    method: Method = "percentile"
    percentile: float = 99.999

    def __str__(self) -> str:
        return f"percentile {self.percentile}" if self.method == "percentile" else self.method


METHODS = (
    Calibration("minmax"),
    Calibration("percentile", 99.999),
    Calibration("percentile", 99.99),
    Calibration("entropy"),
)


def calibrate(
    model: onnx.ModelProto,
    op_types: Sequence[str],
    feeds: Sequence[Feeds],
    calibration: Calibration,
    on_progress: OnProgress = ignore_progress,
) -> TensorsData:
    """The range of every tensor that operators of ``op_types`` read or write, over ``feeds``, each
    of one photo."""
    method, options = _as_onnx_runtime_says(calibration)
    with tempfile.TemporaryDirectory(prefix="boxport-calibration-") as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        calibrator = create_calibrator(
            source,
            list(op_types),
            str(Path(folder) / "augmented.onnx"),
            method,
            extra_options=options,
        )
        for start in range(0, len(feeds), PHOTOS_AT_ONCE):
            chosen = feeds[start : start + PHOTOS_AT_ONCE]
            calibrator.collect_data(_Reader(chosen))
            on_progress(start + len(chosen), len(feeds))
        return calibrator.compute_data()


def _as_onnx_runtime_says(calibration: Calibration) -> tuple[CalibrationMethod, dict[str, Any]]:
    match calibration.method:
        case "minmax":
            return CalibrationMethod.MinMax, {}
        case "entropy":
            return CalibrationMethod.Entropy, {"symmetric": False}
        case "percentile":
            options = {"percentile": calibration.percentile, "symmetric": False}
            return CalibrationMethod.Percentile, options


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds, one after the other, as ONNX Runtime's calibrators ask for them."""

    def __init__(self, feeds: Sequence[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)
