"""Bodies: compressed, as JSON, and as base64; and those that only look so."""

import asyncio
import base64
import contextlib
import gzip
import random
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from service.engine.admission import Admission
from service.http.body import (
    BASE64_PIECE,
    PIECE_BYTES,
    decode_base64,
    inflated,
    load_json,
    read_whole_body,
)
from service.problems import Problem
from tests.paths import ROOT
from tests.service.http.asgi import begin

PLAIN = bytes(range(256)) * 3000  # more than one piece


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
    yield b""  # as Starlette ends a stream


def pieces_of(
    body: bytes, encoding: str | None, size: int = 1000, limit: int = 10**9
) -> list[bytes]:
    async def read() -> list[bytes]:
        return [piece async for piece in inflated(in_chunks(body, size), encoding, limit)]

    return asyncio.run(read())


@pytest.mark.parametrize("size", [7, 1000, 10**9])
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(PLAIN), "gzip"),
        (gzip.compress(PLAIN), " GZIP "),
        (zlib.compress(PLAIN), "deflate"),
        (PLAIN, None),
        (PLAIN, "identity"),
    ],
)
def test_whatever_the_encoding_and_the_chunks(body: bytes, encoding: str | None, size: int) -> None:
    assert b"".join(pieces_of(body, encoding, size)) == PLAIN


def test_nothing_at_all() -> None:
    assert pieces_of(gzip.compress(b""), "gzip") == []


def test_bomb_comes_in_small_pieces() -> None:
    """So that whoever counts can stop at the first too many."""
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000

    async def read() -> int:
        came = 0
        async for piece in inflated(in_chunks(bomb, 10**9), "gzip", 10**9):
            assert len(piece) <= PIECE_BYTES
            came += len(piece)
            if came > 1_000_000:
                break
        return came

    assert asyncio.run(read()) <= 1_000_000 + PIECE_BYTES


@pytest.mark.parametrize(
    ("body", "encoding", "code", "words"),
    [
        (PLAIN, "gzip", "malformed_body", "is not valid gzip"),
        (PLAIN, "deflate", "malformed_body", "is not valid deflate"),
        (gzip.compress(PLAIN), "deflate", "malformed_body", "is not valid deflate"),
        (gzip.compress(PLAIN)[:-1], "gzip", "malformed_body", "cut short"),
        (b"", "gzip", "malformed_body", "cut short"),
        (gzip.compress(PLAIN) + b"x", "gzip", "malformed_body", "follows its end"),
        (PLAIN, "br", "unsupported_media_type", "'br'"),
        (PLAIN, "gzip, gzip", "unsupported_media_type", "gzip, deflate or none"),
    ],
)
def test_bodies_that_are_wrong(body: bytes, encoding: str, code: str, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        pieces_of(body, encoding)
    assert caught.value.code == code


def test_long_body_that_holds_nothing() -> None:
    """Empty blocks could go on for ever."""
    empty_block = b"\x00\x00\x00\xff\xff"
    body = zlib.compress(b"")[:2] + empty_block * 1000
    with pytest.raises(Problem, match="more than 4000 bytes"):
        pieces_of(body, "deflate", limit=4000)


def test_what_follows_the_end_in_a_later_chunk() -> None:
    with pytest.raises(Problem, match="follows its end"):
        pieces_of(gzip.compress(PLAIN) + b"more", "gzip", size=len(gzip.compress(PLAIN)))


LIMIT = 1000
# Peak memory in MB that the refusal of the largest body takes beside the body itself.
PEAK = """
import resource
from service.http.body import load_json
from service.problems import Problem

body = b'{"images": [' + b"0," * (32 * 2**20 - 10) + b"0]}"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_json(body, 10_000)
except Problem as problem:
    print(problem.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": [' + b"0," * LIMIT + b"0]}",
        b'{"images": [' + b"{}," * LIMIT + b"0]}",
        b'{"images": [], "x": [' + b"[]," * LIMIT + b"0]}",
        b'{"images":' + b"[" * 2 * LIMIT + b"]" * 2 * LIMIT + b"}",
        b"{" + b",".join(b'"%d":0' % n for n in range(2 * LIMIT)) + b"}",
        b'{"a":' * 2 * LIMIT,
    ],
    ids=["numbers", "objects", "lists", "depth", "members", "depth of objects"],
)
def test_many_values_are_refused_unread(body: bytes) -> None:
    with pytest.raises(Problem, match="holds more than 1000 values") as refused:
        load_json(body, LIMIT)
    assert refused.value.code == "body_too_large"


def test_a_refusal_takes_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, grown = done.stdout.split()
    assert code == "body_too_large"
    assert int(grown) < 8


def test_large_texts_are_few_values() -> None:
    text = base64.b64encode(bytes(10**6)).decode()
    sent = load_json(b'{"images": [{"base64": "%b"}]}' % text.encode(), LIMIT)
    assert sent == {"images": [{"base64": text}]}


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff", b"NaN", b"[1e999]"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Problem, match="The JSON body cannot be read") as refused:
        load_json(body, LIMIT)
    assert refused.value.code == "malformed_body"


def test_a_mark_of_its_encoding_is_no_part_of_it() -> None:
    assert load_json(b"\xef\xbb\xbf{}", LIMIT) == {}


CONTENT = bytes(range(256)) * 2 + b"?>"  # 514 bytes: one sign of padding, and both alphabets' own
BASE64 = base64.b64encode(CONTENT).decode()
LINES = base64.encodebytes(CONTENT).decode()
URL_SAFE = base64.urlsafe_b64encode(CONTENT).decode()
PERCENT = BASE64.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        LINES,
        LINES.replace("\n", "\r\n"),
        f"\t {BASE64}\n\n",
        BASE64.rstrip("="),
        URL_SAFE,
        URL_SAFE.rstrip("="),
        f"data:image/jpeg;base64,{BASE64}",
        f"DATA:image/jpeg;BASE64,{LINES}",
        f"data:image/jpeg;name=a.jpg;base64,{PERCENT}",
        f" data:;base64,{URL_SAFE.rstrip('=')}",
    ],
)
def test_every_way_of_writing_it_is_read(text: str) -> None:
    assert asyncio.run(decode_base64(text)) == CONTENT


def test_nothing_is_no_bytes() -> None:
    for text in ("", "data:image/png;base64,"):
        assert asyncio.run(decode_base64(text)) == b""


@pytest.mark.parametrize("size", [BASE64_PIECE * 3 // 4, BASE64_PIECE * 3 // 4 + 1, 2 * 10**6])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes, base64.urlsafe_b64encode])
def test_others_have_a_turn_beside_a_long_text(encode: Callable[[bytes], bytes], size: int) -> None:
    content = random.Random(size).randbytes(size)
    text = encode(content).decode()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def decode_beside() -> bytes:
        other = asyncio.create_task(count_turns())
        await asyncio.sleep(0)
        try:
            return await decode_base64(text)
        finally:
            other.cancel()

    assert asyncio.run(decode_beside()) == content
    assert turns >= -(-len(text.replace("\n", "")) // BASE64_PIECE)


def test_padding_ends_a_long_text() -> None:
    """Each piece of it would be right by itself."""
    piece = "A" * (BASE64_PIECE - 2) + "=="
    with pytest.raises(ValueError, match="padding"):
        asyncio.run(decode_base64(piece + piece))


@pytest.mark.parametrize(
    "text",
    [
        "hello, world!",
        "ab*d",
        "abcde",
        "YQ==YQ==",
        "+-==",  # of both alphabets
        "caf\u00e9",
        f"data:image/png;base64,{BASE64[:401]}",
        "data:image/svg+xml,%3Csvg/%3E",
    ],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        asyncio.run(decode_base64(text))


def test_a_body_that_comes_too_late_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    context = begin("/v2/repository/index", (b"x-request-timeout-ms", b"10"))
    monkeypatch.setattr(context, "receive", lambda: asyncio.sleep(10))
    with (
        Admission(max_images=1, max_bytes=1, max_decoding=1).hold_bytes() as room,
        pytest.raises(Problem, match="before the body had come") as caught,
    ):
        asyncio.run(read_whole_body(context, 1, room))
    assert caught.value.code == "deadline_exceeded"


def test_escapes_take_no_longer_than_other_letters() -> None:
    """Each by itself would: eight seconds of the event loop for a body of 60 MB."""

    def seconds(text: str) -> float:
        began = time.process_time()
        with contextlib.suppress(ValueError):
            asyncio.run(decode_base64(text))
        return time.process_time() - began

    usual, escaped = "-_A" * 10**6, "data:;base64," + "%41" * 10**6
    ratios = [seconds(escaped) / seconds(usual) for _ in range(5)]
    assert min(ratios) < 8
