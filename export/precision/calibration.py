"""Calibration: the range of each tensor's values on real photos."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from export.parity.model import Feeds
from export.progress import OnProgress, ignore_progress

Method = Literal["percentile", "entropy", "minmax"]

ONNX_RUNTIME_METHODS: dict[Method, CalibrationMethod] = {
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
    "minmax": CalibrationMethod.MinMax,
}


@dataclass(frozen=True)
class Calibration:
    """How ranges are found.

    minmax: all values seen. percentile: without the outermost ``100 - percentile`` per cent.
    entropy: where the least information is lost (Migacz, "8-bit Inference with TensorRT", GTC
    2017).
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
    options: dict[str, Any] = {} if calibration.method == "minmax" else {"symmetric": False}
    if calibration.method == "percentile":
        options["percentile"] = calibration.percentile
    with tempfile.TemporaryDirectory(prefix="boxport-calibration-") as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        calibrator = create_calibrator(
            source,
            list(op_types),
            str(Path(folder) / "augmented.onnx"),
            ONNX_RUNTIME_METHODS[calibration.method],
            extra_options=options,
        )
        # One by one: their sizes may differ, and all activations of a call are in memory.
        for done, feed in enumerate(feeds):
            on_progress(done, len(feeds))
            calibrator.collect_data(_Reader([feed]))
        return calibrator.compute_data()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds, one after the other, for ONNX Runtime's calibrators."""

    def __init__(self, feeds: Sequence[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)
