"""The number of workers follows from what a photo costs here."""

from pathlib import Path

import pytest

from service import sizing
from service.settings import Settings, SettingsError, read_settings
from service.sizing import Cost, count_for, measure
from tests.packages import CLASSIFIER, copy_package


@pytest.mark.parametrize(
    ("loop_ms", "rest_ms", "processors", "workers"),
    [
        (0.6, 15.0, 2, 1),
        (0.6, 15.0, 8, 1),
        (0.6, 15.0, 32, 2),
        (0.6, 3.8, 8, 2),
        (0.6, 3.8, 96, 19),
        (1.0, 0.1, 2, 2),  # no more than there are processors
        (1.0, 0.1, 1, 1),
    ],
)
def test_as_many_loops_as_feed_the_processors(
    loop_ms: float, rest_ms: float, processors: int, workers: int
) -> None:
    assert Cost(loop_ms / 1000, rest_ms / 1000).workers(processors) == workers


@pytest.fixture
def settings(tmp_path: Path, store: Path) -> Settings:
    copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", 1)
    return Settings(model_store=tmp_path / "store", decoding="in_process", workers="auto")


def test_a_photo_is_measured_where_the_service_will_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network is many times the work of the event loop beside it."""
    monkeypatch.setattr(sizing, "REQUESTS", 8)
    cost = measure(settings)
    assert 0.00005 < cost.loop < 0.05
    assert cost.rest > cost.loop


def test_each_gpu_has_a_worker_and_what_cannot_be_measured_has_one(tmp_path: Path) -> None:
    nowhere = Settings(model_store=tmp_path / "nowhere", workers="auto", log_level="ERROR")
    assert count_for(nowhere) == 1
    assert count_for(nowhere.model_copy(update={"gpus": 3})) == 3


def test_what_is_no_number_of_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0", "many"):
        monkeypatch.setenv("BOXPORT_WORKERS", value)
        with pytest.raises(SettingsError, match=f"^BOXPORT_WORKERS={value}: "):
            read_settings()
    monkeypatch.setenv("BOXPORT_WORKERS", "auto")
    assert (read_settings().workers, read_settings().worker_count) == ("auto", 1)
    monkeypatch.setenv("BOXPORT_WORKERS", "4")
    assert read_settings().worker_count == 4
