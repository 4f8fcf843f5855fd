"""Nothing that AsyncClient does keeps its event loop from running."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
from boxport_client import AsyncClient
from boxport_client._ordered import in_background, in_tasks

from tests.clients.python.scripted import ScriptedServer

SECONDS = 1.0  # for which something blocks, in a thread
STOP = 0.8


async def longest_stop(work: Awaitable[object]) -> float:
    """The most seconds for which the loop did not run while ``work`` was awaited."""
    longest, last = 0.0, time.monotonic()

    async def beat() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    beating = asyncio.create_task(beat())
    await work
    await asyncio.sleep(0.05)
    beating.cancel()
    return longest


class SlowPath(os.PathLike):
    """A path that takes its time, as files of a network do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        time.sleep(SECONDS)
        return str(self._path)


class SlowFile:
    def read(self) -> bytes:
        time.sleep(SECONDS)
        return b"photo"


def slowly(*photos: object) -> Iterator[object]:
    for photo in photos:
        time.sleep(SECONDS)
        yield photo


@pytest.mark.parametrize("kind", ["iterable", "path", "file"])
def test_what_reads_photos_does_not_block(
    scripted: ScriptedServer, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    photos = {
        "iterable": slowly(b"1", b"2"),
        "path": [SlowPath(tmp_path / "photo.jpg")],
        "file": [SlowFile()],
    }[kind]
    journal = tmp_path / "journal.jsonl" if kind == "path" else None
    found = []

    async def detect() -> None:
        async with AsyncClient(scripted.url) as client:
            async for outcome in client.detect_many(photos, journal=journal):
                found.append(outcome.ok)

    assert asyncio.run(longest_stop(detect())) < STOP
    assert found == [True] * (2 if kind == "iterable" else 1)


def test_giving_up_does_not_wait_for_what_is_being_made() -> None:
    """As of a camera that is silent. What has been opened is closed once it says something."""
    closed = threading.Event()

    def frames() -> Iterator[int]:
        try:
            yield 1
            time.sleep(SECONDS)
            yield 2
        finally:
            closed.set()

    async def same(item: int) -> int:
        return item

    async def give_up() -> None:
        given = frames()
        taken = in_tasks(in_background(given, given.close), same, 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_all(taken), 0.1)

    begun = time.monotonic()
    assert asyncio.run(longest_stop(give_up())) < STOP
    assert time.monotonic() - begun < SECONDS
    assert closed.wait(5)


def test_items_are_made_as_they_are_taken_and_errors_raised() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number
        raise RuntimeError("the iterable's own")

    async def take() -> None:
        taken = in_background(items())
        for number in range(10):
            assert await taken.__anext__() == number
            assert made == list(range(number + 1))
        with pytest.raises(RuntimeError, match="the iterable's own"):
            await taken.__anext__()

    asyncio.run(take())
    with pytest.raises(TypeError, match="not iterable"):
        asyncio.run(_all(in_background(3)))


async def _all(items: object) -> list:
    return [item async for item in items]


def test_a_process_ends_although_a_camera_is_silent() -> None:
    """The thread that waits for it is a daemon."""
    names: list[bool] = []

    def silent() -> Iterator[int]:
        names.append(threading.current_thread().daemon)
        yield 1

    asyncio.run(_all(in_background(silent())))
    assert names == [True]
