"""A run over many photos outlives the service, which is killed half way and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from boxport_client import Client, Outcome
from PIL import Image

from tests.e2e.server import Server, free_port, launch, wait_until_ready
from tests.packages import DETECTOR, store_of


class Mortal:
    """A service that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._store = store_of(folder / "store", DETECTOR)
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: Popen | None = None

    def start(self) -> None:
        self._process = launch(self._folder, self._port, model_store=self._store)

    def wait(self) -> None:
        wait_until_ready(Server(self.url, self._process, self._folder / "server.log"))

    def kill(self) -> None:
        """Kill it and its workers, each of which is in a process group of its own."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        os.killpg(self._process.pid, signal.SIGKILL)
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)
        self._process.wait(10)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    service = Mortal(tmp_path)
    service.start()
    service.wait()
    yield service
    service.kill()


def size_of(number: int) -> tuple[int, int]:
    """Differs between neighbours, so that an answer tells which photo it is of."""
    return 60 + number % 41, 60 + number % 37


def write_photos(folder: Path, photos: Path, count: int) -> list[Path]:
    """Small photos of many sizes."""
    folder.mkdir()
    pictures = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.jpg"))]
    small = [picture.resize((128, 128)) for picture in pictures]
    paths = []
    for number in range(count):
        paths.append(folder / f"{number:05}.jpg")
        small[number % len(small)].resize(size_of(number)).save(paths[-1])
    return paths


def run_with_a_kill(mortal: Mortal, folder: Path, count: int) -> list[Outcome]:
    """All outcomes of a run, half way through which the service is killed and started again."""
    outcomes = []
    with Client(mortal.url, timeout=300, retries=1000) as client:
        run = client.detect_many(folder, journal=folder.parent / "journal.jsonl", concurrency=4)
        for done, outcome in enumerate(run, start=1):
            outcomes.append(outcome)
            if done == count // 2:
                mortal.kill()
                mortal.start()
    return outcomes


@pytest.mark.parametrize("count", [80, pytest.param(5000, marks=pytest.mark.full)])
def test_every_photo_is_answered_once(
    mortal: Mortal, tmp_path: Path, photos: Path, count: int
) -> None:
    paths = write_photos(tmp_path / "photos", photos, count)
    outcomes = run_with_a_kill(mortal, tmp_path / "photos", count)
    assert [outcome.photo for outcome in outcomes] == paths
    assert [outcome.error for outcome in outcomes] == [None] * count
    sizes = [(outcome.result.width, outcome.result.height) for outcome in outcomes]
    assert sizes == [size_of(number) for number in range(count)]
    assert len({outcome.result.request_id for outcome in outcomes}) == count
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) == count + 1
