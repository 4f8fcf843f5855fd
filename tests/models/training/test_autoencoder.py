"""Auto-encoders by the command: trained on a folder, held out as the companion measures."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from models import vae
from models.checkpoints import load_checkpoint
from models.training.__main__ import app
from models.vae import AutoEncoder, Settings

SMALL = {
    "vae": Settings(variational=True, latent=4, widths=(4, 4, 8, 8)),
    "autoencoder": Settings(variational=False, latent=4, widths=(4, 4, 8, 8)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(12):
        pixels = np.full((48, 64, 3), rng.integers(60, 200, 3), np.uint8)
        pixels[: 4 * i] //= 2
        Image.fromarray(pixels).save(photos / f"{i}.png")
    return photos


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["autoencoder", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("name", SMALL)
def test_the_loop_trains_it_and_the_best_weights_are_left(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vae.SETTINGS, name, SMALL[name])
    output = tmp_path / "run"
    options = ("--epochs", 6, "--batch-size", 4, "--precision", "fp32")
    status, said = run(name, "--photos", folder, "--output", output, *options)
    assert status == 0, said
    assert "training on 11 photos, measuring on 1" in said
    assert f"--photos {folder} --autoencoder {output / 'best.pth'}" in said
    checkpoint = load_checkpoint(output / "best.pth")
    assert checkpoint.architecture == name
    AutoEncoder(SMALL[name]).load_state_dict(checkpoint.state)
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["reconstruction_loss"]) for row in rows]
    assert losses[-1] < losses[0]
    assert ("kl_loss" in rows[0]) == SMALL[name].variational
    assert all(torch.isfinite(value).all() for value in checkpoint.state.values())


def test_what_is_wrong_is_said_in_a_line(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no photo")
    status, said = run("--photos", folder, "--output", tmp_path / "run")
    assert status == 1
    assert "broken.jpg" in said
    assert "--skip-bad" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no photo" in run("--photos", empty, "--output", tmp_path / "run")[1]
    package = ("--package", tmp_path / "none")
    status, said = run("--photos", folder, "--skip-bad", *package, "--output", tmp_path / "run")
    assert status == 1
    assert "manifest.json" in said
