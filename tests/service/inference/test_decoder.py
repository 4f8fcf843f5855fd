"""The decoder: what it takes while it works, and where that is done."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.inference.decoder import Decoder, Isolation, open_isolation
from service.inference.task import Job
from service.manifest import ModelManifest
from service.problems import Problem
from service.settings import Settings


class Pixels:
    """Notes what is held, and on which thread."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.threads: list[str] = []

    @contextmanager
    def hold(self, number: int) -> Iterator[None]:
        self.threads.append(threading.current_thread().name)
        self.held.append(number)
        yield
        self.held.remove(number)


@pytest.fixture
def pixels() -> Pixels:
    return Pixels()


def make(manifest: ModelManifest, pixels: Pixels, threads: int = 0) -> Decoder:
    return Decoder(manifest.input, Settings(), pixels.hold, threads)


def job(
    content: bytes | ModelInput,
    seconds: float = 60,
    priority: Priority = Priority.INTERACTIVE,
) -> Job:
    deadline = Deadline(time.monotonic() + seconds, seconds)
    return Job(content, None, RequestPolicy(deadline, priority))


@pytest.fixture
def photo(photos: Path) -> bytes:
    return (photos / "cat.jpg").read_bytes()


def test_an_image_is_decoded_where_it_is_asked_for(
    manifest: ModelManifest, pixels: Pixels, photo: bytes
) -> None:
    asked = job(photo)
    image = make(manifest, pixels).decode(asked)
    assert image.pixels.shape == (224, 224, 3)
    assert asked.stages["decode"] > 0
    assert (pixels.held, pixels.threads) == ([], ["MainThread"])
    assert asked.content is photo, "the caller keeps what it wants to keep"


def test_what_is_decoded_already_costs_nothing(
    manifest: ModelManifest, pixels: Pixels, image: ModelInput
) -> None:
    decoder = make(manifest, pixels, threads=1)
    asked = job(image)
    assert decoder.decode(asked) is image
    asyncio.run(decoder.decode_ahead(asked))
    decoder.close()
    assert (asked.stages, pixels.threads) == ({}, [])


@pytest.mark.parametrize(("threads", "by"), [(0, []), (1, ["decode-0"])])
def test_threads_of_its_own_decode_ahead(
    manifest: ModelManifest, pixels: Pixels, photo: bytes, threads: int, by: list[str]
) -> None:
    decoder = make(manifest, pixels, threads)
    asked = job(photo)
    asyncio.run(decoder.decode_ahead(asked))
    decoder.close()
    assert isinstance(asked.content, ModelInput) == bool(threads)
    assert ("decode" in asked.stages) == bool(threads)
    assert pixels.threads == by


def test_interactive_photos_are_decoded_before_bulk_ones(
    manifest: ModelManifest, photo: bytes
) -> None:
    """The one thread is held by the first while the rest comes, bulk photos first."""
    gate, order = threading.Event(), []

    @contextmanager
    def hold(number: int) -> Iterator[None]:
        gate.wait(10)
        yield

    async def decode(decoder: Decoder, name: str, priority: Priority) -> None:
        await decoder.decode_ahead(job(photo, priority=priority))
        order.append(name)

    async def scenario() -> None:
        decoder = Decoder(manifest.input, Settings(), hold, 1)
        asked = [("first", Priority.BULK), *((f"bulk {n}", Priority.BULK) for n in range(4))]
        asked += [(f"interactive {n}", Priority.INTERACTIVE) for n in range(3)]
        tasks = []
        for name, priority in asked:
            tasks.append(asyncio.create_task(decode(decoder, name, priority)))
            await asyncio.sleep(0.02)
        gate.set()
        await asyncio.gather(*tasks)
        decoder.close()

    asyncio.run(scenario())
    assert order[:4] == ["first", "interactive 0", "interactive 1", "interactive 2"]
    assert sorted(order[4:]) == [f"bulk {n}" for n in range(4)]


def test_what_is_too_late_or_damaged_is_refused(
    manifest: ModelManifest, pixels: Pixels, photo: bytes
) -> None:
    decoder = make(manifest, pixels)
    with pytest.raises(Problem, match="over before decoding"):
        decoder.decode(job(photo, seconds=-1))
    with pytest.raises(Problem, match="over before decoding"):
        asyncio.run(decoder.decode_ahead(job(photo, seconds=-1)))
    assert pixels.threads == []
    with pytest.raises(Problem) as caught:
        decoder.decode(job(photo[:3000]))
    assert caught.value.code == "invalid_image"


def picture(image_format: str, size: tuple[int, int] = (300, 200), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, image_format, **options)
    return buffer.getvalue()


class Refusing:
    """A pool that no image of these tests is to come to, or that none leaves in time."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def decode(self, content: bytes, *others: object) -> ModelInput:
        self.asked.append(content)
        raise TimeoutError


@pytest.mark.parametrize("plain", [True, False], ids=["all", "not plain"])
@pytest.mark.parametrize("image_format", ["JPEG", "WEBP"])
def test_what_is_not_plain_is_decoded_apart_and_ahead(
    manifest: ModelManifest, pixels: Pixels, image_format: str, plain: bool
) -> None:
    pool, asked = Refusing(), job(picture(image_format), seconds=60)
    decoder = Decoder(manifest.input, Settings(), pixels.hold, 0, Isolation(pool, plain))

    async def scenario() -> ModelInput:
        await decoder.decode_ahead(asked)
        return decoder.decode(asked)

    ahead = image_format == "WEBP"
    if ahead or plain:
        with pytest.raises(Problem, match="60000 ms, which were over before the image was decoded"):
            asyncio.run(scenario())
        assert len(pool.asked) == 1
    else:
        asyncio.run(scenario())
        assert pool.asked == []
    decoder.close()


@pytest.mark.parametrize("system", ["isolated", "auto", "in_process"])
def test_without_linux_auto_does_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, system: str
) -> None:
    monkeypatch.setattr("service.inference.decoder.IS_POSSIBLE", False)
    settings = Settings(decoding=system)
    if system == "isolated":
        with pytest.raises(ValueError, match="isolated: needs Linux"):
            open_isolation(settings, print)
    else:
        assert open_isolation(settings, print) is None
