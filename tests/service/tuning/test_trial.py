"""A measurement of one layout, of the real engine."""

from pathlib import Path

from service.inference.layout import Layout
from service.tuning.trial import CALLERS, trial_of
from tests.export.small import small_package


def test_a_time_too_short_for_one_photo_still_measures_one_of_each_caller(
    photos: Path, tmp_path: Path
) -> None:
    """On a busy machine the time can be over before a caller has begun."""
    small_package(tmp_path, "small")
    photo = (photos / "cat.jpg").read_bytes()
    with trial_of(tmp_path / "small" / "1", Layout(1, 1, 2, 0, 2), [photo]) as trial:
        for callers in CALLERS:
            assert trial.speed(callers, 0.0).p99 > 0
