"""Compressed bodies, and those that only look so."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from service.http.inflate import PIECE_BYTES, inflated
from service.problems import Problem

TEXT = bytes(range(256)) * 3000  # more than one piece


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
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), " GZIP "),
        (zlib.compress(TEXT), "deflate"),
        (TEXT, None),
        (TEXT, "identity"),
    ],
)
def test_whatever_the_encoding_and_the_chunks(body: bytes, encoding: str | None, size: int) -> None:
    assert b"".join(pieces_of(body, encoding, size)) == TEXT


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
        (TEXT, "gzip", "malformed_body", "is not valid gzip"),
        (TEXT, "deflate", "malformed_body", "is not valid deflate"),
        (gzip.compress(TEXT), "deflate", "malformed_body", "is not valid deflate"),
        (gzip.compress(TEXT)[:-1], "gzip", "malformed_body", "cut short"),
        (b"", "gzip", "malformed_body", "cut short"),
        (gzip.compress(TEXT) + b"x", "gzip", "malformed_body", "follows its end"),
        (TEXT, "br", "unsupported_media_type", "'br'"),
        (TEXT, "gzip, gzip", "unsupported_media_type", "gzip, deflate or none"),
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
        pieces_of(gzip.compress(TEXT) + b"more", "gzip", size=len(gzip.compress(TEXT)))
