"""A package goes through BentoML's own store and is served from there."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.package import PackageError
from service.repository.archive import write_archive
from tests.e2e.server import BENTOML, running_server
from tests.paths import ROOT

CLASSIFIER = "efficientnet_lite0_imagenet"


def test_what_exists_is_not_written_over(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "there.bentomodel"
    output.write_text("something")
    with pytest.raises(FileExistsError, match="exists already"):
        write_archive(store / CLASSIFIER / "1", output)
    assert output.read_text() == "something"


def test_folder_that_is_not_there_is_named(store: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="nowhere: there is no such folder"):
        write_archive(store / CLASSIFIER / "1", tmp_path / "nowhere" / "x.bentomodel")


def test_an_unfit_package_is_not_archived(tmp_path: Path) -> None:
    with pytest.raises(PackageError):
        write_archive(tmp_path, tmp_path / "x.bentomodel")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full  # the archive is compressed for a long time
def test_bentoml_imports_an_archive_and_the_service_serves_it(
    store: Path, photos: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "imagenet.bentomodel"
    package = store / CLASSIFIER / "1"
    command = [sys.executable, "-m", "service", "archive", str(package), str(archive)]
    subprocess.run(command, cwd=ROOT, check=True)
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml")}
    subprocess.run([BENTOML, "models", "import", str(archive)], env=environment, check=True)
    with running_server(tmp_path, model_store="bentoml") as server:
        body = (photos / "cat.jpg").read_bytes()
        headers = {"content-type": "image/jpeg"}
        answer = httpx.post(f"{server.url}/v1/classify", content=body, headers=headers).json()
    assert answer["model"]["name"] == CLASSIFIER
    assert list(tmp_path.glob(".archive-*")) == []
