"""A run goes on only as what it was begun as."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from models.training.augment import Augment
from models.training.recipe import TrainingError
from models.training.settings import RunSettings, check_settings, save_settings

SETTINGS = RunSettings("efficientdet_lite0", 320, ("cat", "dog"), 40, asdict(Augment()), views=5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The output of a run that has begun."""
    save_settings(SETTINGS, tmp_path)
    (tmp_path / "state.pth").touch()
    return tmp_path


def test_the_same_settings_go_on(run: Path) -> None:
    check_settings(SETTINGS, run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "retinanet_lite0"}, "architecture was efficientdet_lite0, not retina"),
        ({"input_size": 256}, "input size was 320, not 256"),
        ({"classes": ("cat", "cow")}, "classes was cat dog, not cat cow"),
        ({"photos": 41}, "photos was 40, not 41"),
        ({"augmentation": asdict(Augment(scale=(0.5, 2.0)))}, "scale was 0.6 1.8, not 0.5 2.0"),
        ({"views": 0}, "views was 5, not 0"),
        ({"pseudo_labels": "b.json"}, "pseudo labels was None, not b.json"),
        ({"distill": 0.5}, "distill was 0.0, not 0.5"),
    ],
)
def test_other_settings_do_not(run: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check_settings(replace(SETTINGS, **change), run)
    check_settings(SETTINGS, run)


def test_a_run_that_has_no_state_may_begin_anew(run: Path) -> None:
    (run / "state.pth").unlink()
    check_settings(replace(SETTINGS, photos=3), run)


def test_a_run_of_before_there_were_settings_goes_on(run: Path) -> None:
    content = json.loads((run / "settings.json").read_text())
    del content["views"]
    (run / "settings.json").write_text(json.dumps(content))
    check_settings(replace(SETTINGS, views=0), run)
    (run / "settings.json").unlink()
    check_settings(replace(SETTINGS, photos=3), run)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"augmentation": 3}'])
def test_settings_that_cannot_be_read_are_named(run: Path, text: str) -> None:
    (run / "settings.json").write_text(text)
    with pytest.raises(TrainingError, match=r"settings\.json: cannot be read; delete it"):
        check_settings(SETTINGS, run)
