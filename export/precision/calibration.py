"""Calibration: the range of each tensor's values on real photos."""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.calibrate import (
    CalibraterBase,
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
    TensorsData,
)

from export.parity.model import Feeds
from export.progress import OnProgress, ignore_progress

Method = Literal["percentile", "entropy", "minmax"]

CALIBRATERS: dict[Method, type[CalibraterBase]] = {
    "percentile": PercentileCalibrater,
    "entropy": EntropyCalibrater,
    "minmax": MinMaxCalibrater,
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
    values: Collection[str],
    feeds: Sequence[Feeds],
    calibration: Calibration,
    on_progress: OnProgress = ignore_progress,
) -> TensorsData:
    """The range of each of ``values``, names of what the graph computes, over ``feeds``, each of
    one photo. Of others none is looked for: what selects proposals computes with infinities."""
    options: dict[str, Any] = {} if calibration.method == "minmax" else {"symmetric": False}
    if calibration.method == "percentile":
        options["percentile"] = calibration.percentile
    with tempfile.TemporaryDirectory(prefix="boxport-calibration-") as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        calibrator = CALIBRATERS[calibration.method](
            source, None, str(Path(folder) / "augmented.onnx"), **options
        )
        every, infos = calibrator.select_tensors_to_calibrate(calibrator.model)
        calibrator.select_tensors_to_calibrate = lambda _: (every.intersection(values), infos)
        calibrator.augment_graph()
        calibrator.create_inference_session()
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
