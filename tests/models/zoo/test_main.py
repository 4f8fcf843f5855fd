"""`python -m models.zoo`: the table as it is shown, and a download as it is asked for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.zoo.__main__ import app
from models.zoo.table import ENTRIES, ZOO, ZooEntry

from .remote import CONTENT, Remote, assert_only, assert_places_by_hand


def test_list_shows_every_row_in_full() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for entry in ENTRIES:
        [line] = [li for li in result.stdout.splitlines() if li.split()[:1] == [entry.variant]]
        for cell in (f"{entry.metric} {entry.value:.1f}", entry.licence, entry.file):
            assert cell in line


def test_list_filters() -> None:
    result = CliRunner().invoke(app, ["list", "RetinaNet"])
    assert result.exit_code == 0
    assert "retinanet_resnet50_fpn_v2" in result.stdout
    assert "efficientnet" not in result.stdout
    result = CliRunner().invoke(app, ["list", "nothing like it"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'nothing like it'" in result.stderr


def test_download_command(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ZOO, "resnet18", remote.entry())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["download", "resnet18"])
    assert result.exit_code == 0
    path = Path("checkpoints", remote.entry().file)
    assert_only(path, CONTENT)
    assert f"{path}: BSD-3-Clause" in result.stderr

    result = CliRunner().invoke(app, ["download", "resnet18", "--output", "elsewhere"])
    assert result.exit_code == 0
    assert_only(Path("elsewhere", remote.entry().file), CONTENT)


def test_download_command_without_internet_says_so_in_one_line(
    nowhere: ZooEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ZOO, "resnet18", nowhere)
    result = CliRunner().invoke(app, ["download", "resnet18", "--output", str(tmp_path)])
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert_places_by_hand(line.removeprefix("error: "), nowhere, tmp_path)


def test_download_command_of_an_unknown_name() -> None:
    result = CliRunner().invoke(app, ["download", "efficientdet_lite9"])
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert "did you mean efficientdet_lite" in line
