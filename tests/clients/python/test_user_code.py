"""A program that uses the SDK is checked by mypy as strictly as it likes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

PROGRAM = """
from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from boxport_client import (
    ApiError,
    AsyncClient,
    BoxportError,
    Client,
    DetectionResult,
    Outcome,
    RateLimited,
)
from PIL import Image


def show(outcome: Outcome[DetectionResult]) -> str:
    if outcome.result is None:
        return f"{outcome.photo!r}: {outcome.error}"
    left, top, right, bottom = outcome.result.detections[0].box.xyxy
    return f"{right - left} {outcome.result.timing_ms['total']}"


def ask(folder: Path) -> list[str]:
    with Client("http://localhost:3000", api_key=None, timeout=5.0) as client:
        client.wait_until_ready()
        names: list[str] = [model.name for model in client.models()]
        for photo in (folder / "cat.jpg", b"bytes", Image.new("RGB", (4, 4))):
            result = client.detect(photo, labels=["cat"], max_side=640)
            names += [detection.label for detection in result]
        client.detect(np.zeros((4, 4, 3), np.uint8), tile=640)
        with (folder / "cat.jpg").open("rb") as file:
            result = client.detect(file, timeout=3)
        result.filter(score=0.5).draw(folder / "cat.jpg").save("cat.png")
        score: float = client.classify(folder / "cat.jpg").best.score
        for outcome in client.detect_many(folder, progress=True, journal="journal.jsonl"):
            names.append(show(outcome))
        for named in client.classify_many(["a.jpg", "b.jpg"], progress=lambda done, total: None):
            if named.result is not None:
                score += named.result.best.score
        for frame in client.detect_video("film.mp4", every=5):
            frame.picture.save(f"{frame.index}-{len(frame.result)}.png")
    return names


async def ask_async(folder: Path) -> float:
    async with AsyncClient() as client:
        try:
            result = await client.detect(folder / "cat.jpg")
        except RateLimited as error:
            return error.retry_after or 0.0
        except ApiError as error:
            raise SystemExit(error.detail) from None
        except BoxportError:
            return 0.0
        async for outcome in client.detect_many([b"1", b"2"], concurrency=8):
            print(show(outcome))
        return result.detections[0].score


asyncio.run(ask_async(Path("photos")))
"""
FAULTS = {
    'client.detect(photo, labels=["cat"]': "client.detect(photo, labels=[3]",
    "score: float = client": "score: str = client",
    "outcome.result is None": "outcome.photo is None",
    "for frame in client": "async for frame in client",
}


def lines_with_faults(said: str, file: str) -> set[str]:
    return set(re.findall(rf"{file}:(\d+): error:", said, re.MULTILINE))


@pytest.mark.full
def test_mypy_is_content_with_a_typical_program_and_sees_faults(tmp_path: Path) -> None:
    """Both in one run, and with the cache of the checks, since pandas alone takes it a minute."""
    pytest.importorskip("mypy")
    faulty = PROGRAM
    for right, wrong in FAULTS.items():
        assert right in faulty
        faulty = faulty.replace(right, wrong)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "faulty.py").write_text(faulty)
    files = [str(tmp_path / "program.py"), str(tmp_path / "faulty.py")]
    # as `make check` does, whose cache it uses
    options = ("--strict", "--python-version", "3.10")
    command = [sys.executable, "-m", "mypy", *options, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert lines_with_faults(done.stdout, "program.py") == set(), done.stdout
    assert len(lines_with_faults(done.stdout, "faulty.py")) >= len(FAULTS), done.stdout
