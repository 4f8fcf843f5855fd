"""What ranges are found with."""

import numpy as np

from export.precision.calibration import feeds_of
from service.imaging.resize import ModelInput


def test_detectors_are_fed_so_that_all_photos_give_tensors_of_one_shape() -> None:
    photo = ModelInput(np.zeros((16, 16, 3), dtype=np.uint8), None)  # type: ignore[arg-type]
    feeds = feeds_of("detection", photo)
    assert feeds["score_threshold"] == 0
    assert feeds["images"].shape == (1, 16, 16, 3)
    assert list(feeds_of("classification", photo)) == ["images"]
