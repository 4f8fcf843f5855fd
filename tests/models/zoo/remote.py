"""A server on this machine that holds a checkpoint, and what the tests ask of what came from it."""

import hashlib
import random
import re
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from models.zoo.table import ZOO, ZooEntry

CONTENT = random.Random(0).randbytes(200_000)
OTHER_CONTENT = random.Random(1).randbytes(200_000)


@dataclass
class Remote:
    """What the server holds and how it behaves; `requests` is what it saw and did.

    cut_after: bytes of a body after which it drops the connection.
    obeys_range: whether it knows that header.
    """

    url: str
    content: bytes = CONTENT
    status: int | None = None
    cut_after: int | None = None
    obeys_range: bool = True
    says_length: bool = True
    requests: list[tuple[str | None, int, int]] = field(default_factory=list)
    """(Range header, status, bytes sent)"""

    def entry(self, content: bytes = CONTENT) -> ZooEntry:
        """A row of the table whose file is here, and whose hash is that of ``content``."""
        prefix = hashlib.sha256(content).hexdigest()[:8]
        return replace(
            ZOO["resnet18"], url=f"{self.url}/net-{prefix}.pth", sha256_prefix=prefix, value=50.0
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/moved/"):
            self.answer(302, {"Location": self.path.removeprefix("/moved")}, b"")
            return
        remote: Remote = self.server.remote
        size, start = len(remote.content), self.wanted_start(remote)
        status = remote.status or (200 if start is None else 206 if start < size else 416)
        body = remote.content[start or 0 :] if status in (200, 206) else b""
        ranges = {206: f"bytes {start}-{size - 1}/{size}", 416: f"bytes */{size}"}
        headers = {"Content-Range": ranges.get(status)}
        sent = body[: remote.cut_after]
        # before the answer: a client that has it may look here at once
        remote.requests.append((self.headers.get("Range"), status, len(sent)))
        self.answer(status, headers, sent, len(body) if remote.says_length else None)

    def wanted_start(self, remote: Remote) -> int | None:
        """The first byte that the client wants, None where it gets everything."""
        if not remote.obeys_range or "Range" not in self.headers:
            return None
        return int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])

    def answer(
        self, status: int, headers: dict[str, str | None], body: bytes, length: int | None = 0
    ) -> None:
        """Send ``body`` as if it were of ``length`` bytes, and hang up where it is not."""
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length != len(body)


def assert_only(path: Path, content: bytes) -> None:
    """``path`` holds ``content``, and nothing is left beside it."""
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def assert_places_by_hand(message: str, entry: ZooEntry, folder: Path) -> None:
    assert message.startswith(f"cannot reach {entry.url}: ")
    assert message.endswith(f"; download it elsewhere and put it at {folder / entry.file}")
    assert "\n" not in message
