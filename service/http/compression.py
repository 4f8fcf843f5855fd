"""Text replies compressed with gzip, for callers who take it.

Answers about images never are: they are small, and what they are asked for is speed. A file, which
has an ETag, is compressed once.
"""

import asyncio
import gzip
import re
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

MIN_BYTES = 1000  # below that there is little to save
BLOCKING_BYTES = 128 * 1024  # above that it is done in a thread: 10 ms and more
LEVEL, FILE_LEVEL = 4, 9
TEXT = re.compile(r"text/|application/(.*\+)?json|application/openmetrics-text|image/svg\+xml")


def accepts_gzip(accepted: str) -> bool:
    """Whether the header Accept-Encoding, ``accepted``, asks for gzip at least as much as for none
    (RFC 9110, 12.5.3)."""
    weights = {}
    for part in accepted.lower().split(","):
        coding, *parameters = part.replace(" ", "").replace("\t", "").split(";")
        weights[coding] = _weight(parameters)
    gzipped = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzipped > 0 and gzipped >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


class Compressor:
    """Passes the messages of a reply to ``send``, a text's all at once and compressed.

    accepted: the header Accept-Encoding. ``method``: of the request; HEAD has the headers of GET,
    but for the length, which is not known without the body.
    """

    def __init__(self, accepted: str, method: str, send: Send) -> None:
        self._wanted, self._head, self._send = accepts_gzip(accepted), method == "HEAD", send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            if self._is_text(headers):
                headers.add_vary_header("Accept-Encoding")
                message["headers"] = headers.raw
                if self._wanted and message["status"] not in (204, 304):
                    self._start = message
                    return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_whole(self._start)
            return
        await self._send(message)

    @staticmethod
    def _is_text(headers: Headers) -> bool:
        return "content-encoding" not in headers and bool(
            TEXT.match(headers.get("content-type", ""))
        )

    async def _send_whole(self, start: Message) -> None:
        headers, body = MutableHeaders(raw=start["headers"]), bytes(self._body)
        if len(body) >= MIN_BYTES or (
            self._head and int(headers.get("content-length", 0)) >= MIN_BYTES
        ):
            etag = headers.get("etag")
            if etag is not None:
                headers["etag"] = f"W/{etag.removeprefix('W/')}"  # the content's, not the bytes'
            headers["content-encoding"] = "gzip"
            if self._head:
                del headers["content-length"]
            else:
                body = await _compressed(body, etag)
                headers["content-length"] = str(len(body))
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


async def _compressed(body: bytes, etag: str | None) -> bytes:
    if etag is not None:
        return await asyncio.to_thread(_compressed_file, body)
    if len(body) > BLOCKING_BYTES:
        return await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
    return gzip.compress(body, LEVEL, mtime=0)


@lru_cache(maxsize=64)
def _compressed_file(body: bytes) -> bytes:
    return gzip.compress(body, FILE_LEVEL, mtime=0)
