"""The bytes of a body, whatever it is of: counted, decompressed, and read as JSON or base64."""

import asyncio
import binascii
import contextlib
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from typing import Any

import orjson

from service.engine.admission import Room
from service.http.context import RequestContext, body_too_large
from service.problems import Problem, quoted

WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # which for zlib also say the format
PIECE_BYTES = 256 * 1024
BASE64_PIECE = 2**20  # letters, five milliseconds; a multiple of four
DATA_URI = re.compile(r"\s*data:[^,]*,", re.IGNORECASE)
# What base64 has that a URI may escape; to look for any other escape takes seconds of a long text.
ESCAPED = {"%2B": "+", "%2F": "/", "%3D": "=", "%0A": "", "%0D": "", "%20": "", "%09": ""}
WHITE_SPACE = b" \t\r\n\f\v"
TO_STANDARD = bytes.maketrans(b"-_", b"+/")


async def read_whole_body(context: RequestContext, limit: int, room: Room) -> bytes:
    """The body, decompressed if its header Content-Encoding says so, and counted as it comes: its
    stated length may be missing or false, and says nothing of what it holds.

    Raises Problem if it has more than ``limit`` bytes, compressed or not, or ``room`` has not so
    much; if it has not come by the request's deadline; or if it is compressed in a way that is not
    read, before any of it is.
    """
    context.check_length(limit)
    chunks, size = [], 0
    encoding = context.headers.get("content-encoding")
    async with context.policy.deadline.limit("the body had come"):
        async for chunk in inflated(context.stream(), encoding, limit):
            size += len(chunk)
            if size > limit:
                raise body_too_large(limit)
            room.add(len(chunk))
            chunks.append(chunk)
    return b"".join(chunks)


async def inflated(
    chunks: AsyncIterator[bytes], encoding: str | None, limit: int
) -> AsyncIterator[bytes]:
    """What ``chunks`` hold, in pieces of at most `PIECE_BYTES`, so that the caller can count them
    and stop before a small body has become a large one.

    encoding: the header Content-Encoding. ``limit``: bytes of the compressed body. Raises Problem
    if the encoding is not known, or the body not in it or too large.
    """
    encoding = (encoding or "identity").strip().lower()
    if encoding == "identity":
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in WINDOW_BITS:
        raise Problem(
            "unsupported_media_type",
            f"Content-Encoding: {quoted(encoding)} is not read; send gzip, deflate or none.",
        )
    inflater = zlib.decompressobj(WINDOW_BITS[encoding])
    came = 0
    async for chunk in chunks:
        came += len(chunk)
        if came > limit:  # a body may be long though it holds little
            raise body_too_large(limit)
        while True:
            try:
                piece = inflater.decompress(chunk, PIECE_BYTES)
            except zlib.error as error:
                raise _malformed(encoding, str(error)) from None
            if piece:
                yield piece
                await asyncio.sleep(0)  # others have a turn
            chunk = inflater.unconsumed_tail
            if not chunk and len(piece) < PIECE_BYTES:
                break
        if inflater.unused_data:
            raise _malformed(encoding, "something follows its end")
    if not inflater.eof:
        raise _malformed(encoding, "it is cut short")


def _malformed(encoding: str, why: str) -> Problem:
    return Problem("malformed_body", f"The body is not valid {encoding}: {why}.")


def load_json(body: bytes, max_values: int, hint: str = "") -> Any:
    """What ``body`` says; raises Problem if it is no JSON, or has more than ``max_values`` values.

    A list of zeros, two bytes each, becomes many times as large when it is read, on the event loop.
    Texts have few commas and brackets: base64 has none.

    hint: what else to send than so many.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > max_values:
        raise Problem("body_too_large", f"The JSON holds more than {max_values} values{hint}.")
    try:
        return orjson.loads(body.removeprefix(BOM_UTF8))  # RFC 8259, 8.1
    except orjson.JSONDecodeError as error:
        raise Problem("malformed_body", f"The JSON body cannot be read: {error}.") from None


async def decode_base64(text: str) -> bytes:
    """The bytes that ``text`` stands for, which may be a data URI (RFC 2397). Others have a turn
    while a long one is read.

    What writers of base64 differ in is read alike: white space anywhere, padding or none, and
    either alphabet of RFC 4648. Raises ValueError for anything else, both alphabets in one text
    included.
    """
    if uri := DATA_URI.match(text, 0, 1000):
        text = text[uri.end() :]
        if "%" in text:
            for code, character in ESCAPED.items():
                text = text.replace(code, character).replace(code.lower(), character)
    content = text.encode("ascii")
    with contextlib.suppress(ValueError):
        return await _decode_pieces(content)  # as most write it, at once
    content = content.translate(None, WHITE_SPACE).rstrip(b"=")
    if b"+" not in content and b"/" not in content:
        content = content.translate(TO_STANDARD)
    return await _decode_pieces(content + b"=" * (-len(content) % 4))


async def _decode_pieces(content: bytes) -> bytes:
    """``content`` as the standard alphabet and padding have it; else ValueError."""
    if b"=" in content[:-2]:  # which would be the rightful end of a piece
        raise ValueError("Excess data after padding")
    pieces = []
    for start in range(0, len(content), BASE64_PIECE):
        if start:
            await asyncio.sleep(0)
        piece = content[start : start + BASE64_PIECE]
        pieces.append(binascii.a2b_base64(piece, strict_mode=True))
    return b"".join(pieces)
