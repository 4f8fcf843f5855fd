"""Decompressing bodies."""

import asyncio
import zlib
from collections.abc import AsyncIterator

from service.problems import Problem, quoted

WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # which for zlib also say the format
PIECE_BYTES = 256 * 1024


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
            raise Problem("body_too_large", f"The body has more than {limit} bytes.")
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
