"""Decoder processes: they decode as the service does, and whatever ends one costs one image."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from service.decoding import pool as pools
from service.decoding.pool import DecoderPool
from service.imaging.formats import FORMATS
from service.imaging.images import DecodeOptions, decode_input
from service.imaging.placement import Placement
from service.problems import Problem
from tests.e2e.server import eventually
from tests.service.decoding.decoders import (
    decoders,
    file_of,
    let_in,
    opened,
    servers,
)

pytestmark = pytest.mark.skipif(not pools.IS_POSSIBLE, reason="needs Linux")


def signalled(signal_: signal.Signals) -> Callable[[int], nullcontext[None]]:
    """As `let_in`, but the decoder, which is halfway through its image, gets a signal."""

    def hold(number: int) -> nullcontext[None]:
        for one in decoders():
            one.send_signal(signal_)
        return nullcontext()

    return hold


def test_every_format_gives_the_same_pixels(pool: DecoderPool, options: DecodeOptions) -> None:
    for image_format in FORMATS:
        content, held = file_of(image_format), []

        def hold(number: int, held: list[int] = held) -> nullcontext[None]:
            held.append(number)
            return nullcontext()

        here = decode_input(content, options, hold)
        there = pool.decode(content, options, 30, hold)
        assert (here.pixels == there.pixels).all(), image_format
        assert here.placement == there.placement, image_format
        assert held[0] == held[1] > 300 * 200, image_format


def test_a_whole_photo_comes_as_it_is(pool: DecoderPool, options: DecodeOptions) -> None:
    whole = replace(options, spec=None)
    for image_format in ("JPEG", "WEBP"):
        content = file_of(image_format, size=(301, 203))
        here, there = decode_input(content, whole, let_in), pool.decode(content, whole, 30, let_in)
        assert there.pixels.shape == (203, 301, 3)
        assert (here.pixels == there.pixels).all()
        assert here.placement == there.placement == Placement(301, 203, 1.0, 1.0)


FAULTS = {
    "empty": b"",
    "cut": b"GIF89a",
    "unknown": b"\0" * 100,
    "damaged": file_of("JPEG")[:2000],
    "too large": file_of("BMP")[:18] + b"\0\0\1\0" * 2 + bytes(400),
}


def test_a_fault_of_the_image_is_the_same_problem(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    for name, content in FAULTS.items():
        with pytest.raises(Problem) as here:
            decode_input(content, options, let_in)
        with pytest.raises(Problem) as there:
            pool.decode(content, options, 30, let_in)
        found, expected = ((one.value.code, one.value.detail) for one in (there, here))
        assert found == expected, name
    assert ends == []


def test_an_image_that_is_not_let_in_costs_no_decoder(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    def refuse(number: int) -> nullcontext[None]:
        raise Problem("overloaded", "full")

    (before,) = decoders()
    with pytest.raises(Problem, match="full"):
        pool.decode(file_of("PNG"), options, 30, refuse)
    pool.decode(file_of("PNG"), options, 30, let_in)
    assert (decoders(), ends) == ([before], [])


def test_a_slow_image_is_ended_at_its_deadline(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    slow = file_of("GIF", (4000, 4000))
    (before,) = decoders()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        pool.decode(slow, options, 0.02, let_in)
    assert time.monotonic() - began < 5
    assert not before.is_running()
    assert ends == ["deadline"]
    pool.decode(file_of("GIF"), options, 30, let_in)


def test_one_that_hangs_costs_the_others_nothing(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    hanging, late = threading.Event(), []

    def stop(number: int) -> nullcontext[None]:
        signalled(signal.SIGSTOP)(number)
        hanging.set()
        return nullcontext()

    def hang() -> None:
        with pytest.raises(TimeoutError):
            pool.decode(file_of("WEBP"), options, 1.0, stop)
        late.append(True)

    thread = threading.Thread(target=hang)
    thread.start()
    assert hanging.wait(10)
    for _ in range(3):
        pool.decode(file_of("TIFF"), options, 30, let_in)
    thread.join()
    assert (late, ends) == ([True], ["deadline"])


@pytest.mark.parametrize(
    ("number", "code", "cause"),
    [
        (signal.SIGSEGV, "invalid_image", "crash"),
        (signal.SIGABRT, "invalid_image", "crash"),
        (signal.SIGKILL, "overloaded", "killed"),
    ],
)
def test_a_crash_costs_its_own_image(
    pool: DecoderPool,
    options: DecodeOptions,
    ends: list[str],
    number: signal.Signals,
    code: str,
    cause: str,
) -> None:
    with pytest.raises(Problem, match=number.name) as caught:
        pool.decode(file_of("TIFF"), options, 30, signalled(number))
    assert (caught.value.code, ends) == (code, [cause])
    pool.decode(file_of("TIFF"), options, 30, let_in)


def test_one_whose_server_is_killed_costs_its_own_image(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    def kill(number: int) -> nullcontext[None]:
        for server in servers():
            server.kill()
            server.wait()
        return nullcontext()

    with pytest.raises(Problem, match="ended") as caught:
        pool.decode(file_of("TIFF"), options, 30, kill)
    assert (caught.value.code, ends) == ("overloaded", ["killed"])
    pool.decode(file_of("TIFF"), options, 30, let_in)


def test_one_that_dies_while_it_is_idle_costs_no_image(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    (idle,) = decoders()
    idle.kill()
    while idle.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    pool.decode(file_of("TIFF"), options, 30, let_in)
    assert ends == ["idle"]


def test_the_server_is_started_anew(
    pool: DecoderPool, options: DecodeOptions, ends: list[str]
) -> None:
    (server,) = servers()
    children = server.children()
    server.kill()
    server.wait()
    assert not psutil.wait_procs(children, timeout=10)[1], "its decoders end with it"
    pool.decode(file_of("TIFF"), options, 30, let_in)
    assert ends == ["idle"]


def test_what_takes_too_much_memory_may_be_tried_again(
    options: DecodeOptions, ends: list[str]
) -> None:
    with opened(48 * 2**20, ends) as pool:
        with pytest.raises(Problem) as caught:
            pool.decode(file_of("BMP", (5000, 4000)), options, 30, let_in)
        assert caught.value.code == "overloaded"
        pool.decode(file_of("PNG"), options, 30, let_in)
    assert ends == []


def test_no_room_for_another_process_is_a_problem_of_now(
    pool: DecoderPool, options: DecodeOptions
) -> None:
    """Another limit, of processes, does not bind root: test_restricted.py."""
    (server,), (idle,) = servers(), decoders()
    idle.kill()
    while idle.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    usual = server.rlimit(psutil.RLIMIT_NOFILE)
    server.rlimit(psutil.RLIMIT_NOFILE, (0, usual[1]))
    with pytest.raises(Problem, match="can be started") as caught:
        pool.decode(file_of("PNG"), options, 30, let_in)
    assert caught.value.code == "overloaded"
    server.rlimit(psutil.RLIMIT_NOFILE, usual)
    pool.decode(file_of("PNG"), options, 30, let_in)


def test_the_memory_of_a_large_file_is_given_back(
    pool: DecoderPool, options: DecodeOptions
) -> None:
    content = file_of("BMP", (2000, 1500))
    pool.decode(content, options, 30, let_in)
    (decoder,) = decoders()
    (file,) = (
        path
        for path in Path(f"/proc/{decoder.pid}/fd").iterdir()
        if "memfd:decoder" in str(path.readlink())
    )
    assert len(content) > pools.KEPT_FILE_BYTES > file.stat().st_size


def test_what_a_large_image_leaves_in_a_decoder_is_given_back(
    pool: DecoderPool, options: DecodeOptions
) -> None:
    (decoder,) = decoders()
    pool.decode(file_of("AVIF"), options, 30, let_in)
    before = decoder.memory_full_info().uss
    pool.decode(file_of("AVIF", (2500, 2500), speed=10), options, 30, let_in)
    eventually(lambda: decoder.memory_full_info().uss - before < 2**23, "its memory is free")
