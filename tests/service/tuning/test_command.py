"""`python -m service tune`, as a process, on a small model and real photos."""

import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.inference.layout import Layout
from service.manifest import read_manifest
from service.settings import (
    FILE_VARIABLE,
    ModelSettings,
    Settings,
    SettingsError,
    read_settings,
)
from service.tuning import command
from service.tuning.command import (
    TuningError,
    beside_defaults,
    duration,
    find_target,
    other_runtimes,
)
from service.tuning.search import Finding, Search
from service.tuning.trial import OPENVINO_RUNTIMES, Choice, Runtime, Speed
from tests.export.small import small_package
from tests.paths import ROOT

DEFAULT = Choice(Layout(2, 1, 2, 0, 2))
LAYOUT = {"concurrent_runs", "threads", "max_batch_size", "decode_threads"}
MINE = """\
# of the night shift
max_images = 8  # few

[models.other]
threads = 2
"""


def tune(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "service", "tune", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that is loaded as often as layouts are tried."""
    store = tmp_path_factory.mktemp("store")
    small_package(store, "small")
    return str(store)


def test_what_is_found_joins_what_the_file_says(photos: Path, store: str, tmp_path: Path) -> None:
    file = tmp_path / "boxport.toml"
    file.write_text(MINE)
    environment = {"BOXPORT_SETTINGS_FILE": str(file), "BOXPORT_MODEL_STORE": store}
    done = tune("--photos", photos, "--slo-p99-ms", 5000, "--seconds", 0.03, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(file)
    assert " left" in done.stderr
    assert file.read_text().startswith("# of the night shift\nmax_images = 8  # few\n")
    written = tomllib.loads(file.read_text())
    assert written["models"]["other"] == {"threads": 2}
    names = {*LAYOUT, "runtime", "precision"}
    assert written["models"]["small"].keys() == names
    settings = [sys.executable, "-m", "service", "settings"]
    environment = {**os.environ, **environment}
    subprocess.run(settings, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == [file]


def test_what_bfloat16_changes_is_written_beside_it(
    photos: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = replace(DEFAULT, run_by=Runtime("openvino", "bf16"))
    best = Finding(choice, (Speed(4, 100, p99=0.1),), agreement=0.9912)
    monkeypatch.setattr(command, "find_best", lambda search, console, whole_grid: best)
    monkeypatch.setattr(command, "beside_defaults", lambda best, search: "")
    monkeypatch.setenv("BOXPORT_MODEL_STORE", store)
    file = tmp_path / "boxport.toml"
    command.tune(photos, 200, [], 1, file, all_=False)
    (line,) = (line for line in file.read_text().splitlines() if line.startswith("precision"))
    number = len(command.read_photos(photos, Settings()))
    assert line == f'precision = "bf16" # agrees with float32 by 99.1%, on {number} photos'
    table = tomllib.loads(file.read_text())["models"]["small"]
    assert ModelSettings(**table).runtime == "openvino"


@pytest.mark.parametrize(
    ("precision", "installed", "bf16", "runtimes"),
    [
        ("fp32", True, True, OPENVINO_RUNTIMES),
        ("fp32", True, False, OPENVINO_RUNTIMES[:1]),
        ("fp32", False, True, ()),
        ("int8", True, True, ()),
    ],
)
def test_runtimes_are_tried_where_they_can_run(
    precision: str,
    installed: bool,
    bf16: bool,
    runtimes: tuple[Runtime, ...],
    store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = read_manifest(Path(store) / "small" / "1" / "manifest.json")
    monkeypatch.setattr(command, "OPENVINO", SimpleNamespace(is_available=installed))
    monkeypatch.setattr(command, "has_bf16", lambda: bf16)
    assert other_runtimes(manifest.model_copy(update={"precision": precision})) == runtimes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--photos", "service/engine", "--slo-p99-ms", "9"], "service/engine: holds no photo"),
        (["--photos", "docs/photos", "--slo-p99-ms", "9", "--model", "x"], "x: is no model of"),
        (["--photos", "docs/photos", "--slo-p99-ms", "0"], "0 is not above 0"),
        (
            ["--photos", "docs/photos", "--slo-p99-ms", "9", "--output", "LICENSE"],
            "LICENSE: is no TOML",
        ),
    ],
)
def test_what_cannot_be_tuned_with_is_said_in_one_line(arguments: list, words: str) -> None:
    done = tune(*arguments)
    assert done.returncode != 0
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_settings_file_that_is_not_there_yet_is_the_one_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "boxport.toml"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert find_target(None) == file
    assert read_settings() == Settings()
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert find_target(tmp_path / "other.toml") == tmp_path / "other.toml"
    with pytest.raises(SettingsError, match="there is no such file"):
        read_settings()  # named to be read, and not to be written
    with pytest.raises(TuningError, match="cannot be written"):
        find_target(tmp_path / "missing" / "boxport.toml")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.5, "1:00 min"), (200, "3:20 min")]
)
def test_the_time_that_is_left_is_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_files_that_are_no_photos_are_counted(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("no photo")
    done = tune("--photos", tmp_path, "--slo-p99-ms", 9)
    assert f"boxport: {tmp_path}: passed over 1 file: 1 .txt" in done.stderr.splitlines()
    assert "holds no photo" in done.stderr.splitlines()[-1]


def test_a_bound_that_nothing_meets_leaves_the_file_alone(
    photos: Path, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "boxport.toml"
    file.write_text(MINE)
    options = ("--seconds", 0.03, "--output", file)
    done = tune("--photos", photos, "--slo-p99-ms", 0.01, *options, BOXPORT_MODEL_STORE=store)
    assert done.returncode == 1
    assert "no layout answers 99 of 100 photos within 0.01 ms" in done.stderr
    assert file.read_text() == MINE


@pytest.mark.parametrize(
    ("default", "choice", "words"),
    [
        (Speed(4, 80, p99=0.1), Choice(Layout(3, 1, 4, 0, 2)), "1.25 times what the defaults give"),
        (Speed(4, 80, p99=0.3), Choice(Layout(3, 1, 4, 0, 2)), "the defaults answer too slowly"),
        (Speed(4, 80, p99=0.1), DEFAULT, "nothing is worth changing the defaults for"),
    ],
)
def test_what_is_gained_is_said(default: Speed, choice: Choice, words: str) -> None:
    search = Search(Path("a/1"), [], cpus=2, slo=0.2, seconds=1)
    search.findings[DEFAULT] = Finding(DEFAULT, (default,))
    best = search.findings.setdefault(choice, Finding(choice, (Speed(4, 100, p99=0.1),)))
    assert beside_defaults(best, search) == words
