"""Damaged and hostile files: one line each, nothing written, no crash."""

import os
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.__main__ import app
from export.adopt.adoption import AdoptionJob, find_out
from export.adopt.limited import Limits, run_limited
from export.adopt.safety import ForeignError
from export.progress import ProgressReporter
from tests.export.adopt.hostile import HOSTILE, Hostile
from tests.export.adopt.made import MADE
from tests.paths import ROOT

PHOTOS = ROOT / "docs/photos"


def job_of(path: Path, folder: Path) -> AdoptionJob:
    return AdoptionJob(path, folder / "store/made/1", PHOTOS)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_file_is_refused_in_one_line(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.write(tmp_path)
    with pytest.raises(ForeignError, match=hostile.words) as caught:
        find_out(job_of(path, tmp_path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def crash(progress: ProgressReporter) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep(progress: ProgressReporter) -> None:
    time.sleep(60)


def grow(progress: ProgressReporter) -> int:
    return len(bytearray(64 << 30))


@pytest.mark.parametrize(
    ("work", "words"),
    [(crash, "ended by SIGSEGV"), (grow, r"more than 12 GB of memory \(--memory\)")],
    ids=["crash", "memory"],
)
def test_process_that_ends_is_an_error_of_one_line(work: object, words: str) -> None:
    with pytest.raises(ForeignError, match=words):
        run_limited(work)  # type: ignore[arg-type]


def test_process_is_ended_after_its_time() -> None:
    with pytest.raises(ForeignError, match="took more than 0 s"):
        run_limited(sleep, limits=Limits(seconds=0.3))


def test_result_and_progress_come_back(tmp_path: Path) -> None:
    made = next(made for made in MADE if made.name == "yolov8")
    proposal = run_limited(find_out, job_of(made.write(tmp_path), tmp_path))
    assert proposal.findings[0].name == "decoder"


def test_names_in_a_file_do_not_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    hostile = next(hostile for hostile in HOSTILE if hostile.name == "escape sequence")
    path, output = hostile.write(tmp_path), tmp_path / "store/made/1"
    result = CliRunner().invoke(app, ["adopt", str(path), "--output", str(output)])
    assert result.exit_code == 1
    assert "?[31mred [1, 3, 64, 64]" in result.output


def test_command_writes_nothing_of_a_file_that_is_refused(tmp_path: Path) -> None:
    hostile = next(hostile for hostile in HOSTILE if hostile.name == "custom operator")
    path, output = hostile.write(tmp_path), tmp_path / "store/made/1"
    result = CliRunner().invoke(app, ["adopt", str(path), "--output", str(output)])
    assert result.exit_code == 1
    assert "com.custom.Magic" in result.output
    assert not output.parent.parent.exists()
