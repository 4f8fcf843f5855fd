"""Attackers of every kind at once, as a process of its own.

    python -m tests.soak.attackers PORT BODY_KEY BOMB_KEY BODIES

until SIGINT; then prints a JSON object of their replies. BODIES is the file of `write_bodies`. Most
attacks end at a key; two were given away, and what comes with them must not pass their rates:
half bodies with BODY_KEY, the bodies of BODIES with BOMB_KEY.
"""

import asyncio
import json
import random
import signal
import struct
import sys
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import uvloop
from PIL import Image

SIDE = 8000  # of a picture of 64 megapixels
SILENT, HALF, UNREAD = 100, 20, 10  # connections of each kind, at once
PAUSE = 0.25  # seconds between two requests of one attacker
PATIENCE = 40.0  # seconds for an answer

Replies = Counter[str]


def bodies() -> dict[str, tuple[str, bytes]]:
    """Content-Type and body of each attack on what reads them."""
    scans = _encode(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    link = {"images": [{"url": "http://169.254.169.254/latest/meta-data/"}]}
    tile = _encode(Image.new("L", (1, 1)), "TIFF")
    return {
        "png bomb": ("image/png", _encode(Image.new("RGBA", (SIDE, SIDE)), "PNG")),
        "webp bomb": ("image/webp", _encode(Image.new("RGBA", (SIDE, SIDE)), "WEBP", method=0)),
        "jpeg bomb": ("image/jpeg", _encode(Image.new("CMYK", (SIDE, SIDE)), "JPEG")),
        "gif bomb": ("image/gif", _encode(Image.new("P", (SIDE, SIDE)), "GIF")),
        "too many pixels": ("image/png", _png_head(60_000)),
        "scans": ("image/jpeg", scans[:last] + scans[last:-2] * 3000 + scans[-2:]),
        "chunks": ("image/png", _png_chunks(200_000)),
        "tiff strips": ("image/tiff", _tiff_strips(60_000)),
        "tiff cut": ("image/tiff", tile[:-3]),
        "json of zeros": ("application/json", b'{"images":[' + b"0," * 500_000 + b"0]}"),
        "json nested": ("application/json", b'{"images":' + b"[" * 200_000),
        "json base64": (
            "application/json",
            json.dumps({"images": [{"base64": b64encode(_png_head(60_000)).decode()}]}).encode(),
        ),
        "link": ("application/json", json.dumps(link).encode()),
        "link to a file": ("application/json", b'{"images":[{"url":"file:///etc/passwd"}]}'),
        "form cut": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-da"),
    }


def write_bodies(file: Path) -> None:
    made = {name: (kind, b64encode(body).decode()) for name, (kind, body) in bodies().items()}
    file.write_text(json.dumps(made))


def _encode(picture: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_head(side: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data)


def _png_chunks(number: int) -> bytes:
    content = _encode(Image.new("RGB", (9, 9)), "PNG")
    return content[:33] + _chunk(b"teSt", b"") * number + content[33:]


def _tiff_strips(rows: int) -> bytes:
    return _encode(Image.new("1", (8, rows)), "TIFF", compression="packbits", strip_size=1)


class Attack:
    """The attackers of one service, on one event loop."""

    def __init__(
        self, port: int, body_key: str, bomb_key: str, made: dict[str, tuple[str, bytes]]
    ) -> None:
        self._port, self._made = port, made
        self._body_key, self._bomb_key = body_key, bomb_key
        self.replies = Replies()

    async def run(self) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        attackers = [asyncio.ensure_future(self._for_ever(attacker)) for attacker in self._all()]
        await stop.wait()
        for attacker in attackers:
            attacker.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)

    def _all(self) -> Iterator[Callable[[], Awaitable[None]]]:
        yield from [self._silent] * SILENT
        yield from [self._half_head] * HALF
        yield from [self._half_body] * HALF
        yield from [self._never_reads] * UNREAD
        for headers in ({}, {"X-API-Key": "guessed"}, {"X-API-Key": self._bomb_key}):
            yield lambda headers=headers: self._send_one(headers)

    async def _for_ever(self, attacker: Callable[[], Awaitable[None]]) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
                await attacker()
            await asyncio.sleep(PAUSE)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _wait(self, kind: str, sent: bytes) -> None:
        """Send ``sent`` alone, and wait until the service ends it."""
        reader, writer = await self._open()
        try:
            writer.write(sent)
            await self._read_reply(kind, reader)
        finally:
            writer.close()

    async def _silent(self) -> None:
        await self._wait("silent", b"")

    async def _half_head(self) -> None:
        await self._wait("half head", b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nX-")

    async def _half_body(self) -> None:
        head = f"POST /v1/detect HTTP/1.1\r\nHost: a\r\nX-API-Key: {self._body_key}\r\n"
        rest = "Content-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
        await self._wait("half body", (head + rest).encode() + b"\x89PNG")

    async def _never_reads(self) -> None:
        _, writer = await self._open()
        writer.transport.set_write_buffer_limits(2**20)
        try:
            writer.write(b"GET /docs.json HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            await asyncio.sleep(PATIENCE)
        finally:
            writer.transport.abort()

    async def _send_one(self, headers: dict[str, str]) -> None:
        kind = random.choice(list(self._made))
        content_type, body = self._made[kind]
        lines = [
            f"POST /v1/{random.choice(('detect', 'classify'))} HTTP/1.1",
            "Host: a",
            "Connection: close",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self._wait(kind, "\r\n".join([*lines, "", ""]).encode() + body)

    async def _read_reply(self, kind: str, reader: asyncio.StreamReader) -> None:
        async with asyncio.timeout(PATIENCE):
            line = await reader.readuntil(b"\r\n")
            self.replies[f"{kind} {line.split()[1].decode()}"] += 1
            await reader.read()


def main() -> None:
    port, body_key, bomb_key, file = sys.argv[1:]
    found = json.loads(Path(file).read_text()).items()
    made = {name: (kind, b64decode(body)) for name, (kind, body) in found}
    attack = Attack(int(port), body_key, bomb_key, made)
    print("started", flush=True)
    uvloop.run(attack.run())
    print(json.dumps(attack.replies))


if __name__ == "__main__":
    main()
