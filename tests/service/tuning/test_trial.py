"""A measurement of one layout, of the real engine."""

from pathlib import Path

import pytest

from service.inference.layout import Layout
from service.providers import OPENVINO
from service.tuning.trial import CALLERS, OPENVINO_RUNTIMES, Choice, trial_of
from tests.export.small import small_package
from tests.packages import CLASSIFIER

LAYOUT = Layout(1, 1, 2, 0, 2)


def test_a_time_too_short_for_one_photo_still_measures_one_of_each_caller(
    photos: Path, tmp_path: Path
) -> None:
    """On a busy machine the time can be over before a caller has begun."""
    small_package(tmp_path, "small")
    photo = (photos / "cat.jpg").read_bytes()
    with trial_of(tmp_path / "small" / "1", Choice(LAYOUT), [photo]) as trial:
        for callers in CALLERS:
            assert trial.speed(callers, 0.0).p99 > 0


@pytest.mark.skipif(not OPENVINO.is_available, reason="openvino is not installed")
def test_answers_of_another_runtime_are_compared(photos: Path, store: Path) -> None:
    """In float32 both runtimes have the same best class and the same detections."""
    contents = [(photos / name).read_bytes() for name in ("cat.jpg", "coffee.jpg")]
    package, by_openvino = store / CLASSIFIER / "1", Choice(LAYOUT, OPENVINO_RUNTIMES[0])
    with (
        trial_of(package, Choice(LAYOUT), contents) as one,
        trial_of(package, by_openvino, contents) as other,
    ):
        assert other._engine.repository.models[0].provider == "openvino"
        assert other.agreement(one) == 1
        other._photos = contents[::-1]
        assert other.agreement(one) == 0
