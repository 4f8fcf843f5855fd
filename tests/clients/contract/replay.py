"""A service that gives the golden replies, for the tests of clients in any language.

    python tests/clients/contract/replay.py

prints its URL and serves until it is stopped. A client that is pointed at <url>/<case> gets the
reply of clients/contract/<case>.json, if it asks as that file says; else a problem with the code
contract_broken, whose detail names each difference. GET <url>/_seen lists what has been asked.

It needs nothing but Python 3.9, for clients are tested where nothing else is installed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[3]
CASES = ROOT / "clients" / "contract"
PHOTOS = ROOT / "docs" / "photos"
SEEN = "/_seen"

Json = Any


def read_cases() -> dict[str, Json]:
    """Every case by its name, which is that of its file."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(CASES.glob("*.json"))}


def differences(
    expected: Json, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> list[str]:
    """How a request is another one than the request half of a case; nothing if it is the same.

    headers: by names in lower case. More of them may be sent than are expected.
    """
    parts = urlsplit(target)
    asked, wanted = f"{method} {parts.path}", f"{expected['method']} {expected['path']}"
    found = [] if asked == wanted else [f"asked {asked}, not {wanted}"]
    query = parse_qs(parts.query, keep_blank_values=True)
    for name in sorted({*query, *expected["query"]}):
        if not same_values(query.get(name, []), as_list(expected["query"].get(name, []))):
            found.append(f"{name} is {query.get(name)}, not {expected['query'].get(name)}")
    for name, value in expected["headers"].items():
        sent = headers.get(name)
        if (sent and sent.partition(";")[0]) != value:
            found.append(f"the header {name} is {sent!r}, not {value!r}")
    if not is_body(body, expected["body"]):
        digest = hashlib.sha256(body).hexdigest()[:12]
        found.append(f"the body, {len(body)} bytes of sha256 {digest}…, is not {expected['body']}")
    return found


def as_list(value: Json) -> list[str]:
    return value if isinstance(value, list) else [value]


def same_values(actual: list[str], expected: list[str]) -> bool:
    """Languages write a number in more than one way: 1 and 1.0."""
    return len(actual) == len(expected) and all(map(_same_value, actual, expected))


def _same_value(actual: str, expected: str) -> bool:
    try:
        return float(actual) == float(expected)
    except ValueError:
        return actual == expected


def is_body(body: bytes, expected: Json) -> bool:
    """Whether ``body`` is what a case names: {"photo": file name}, {"json": value} or nothing."""
    if expected is None:
        return not body
    if "photo" in expected:
        return body == (PHOTOS / expected["photo"]).read_bytes()
    try:
        return bool(json.loads(body) == expected["json"])
    except ValueError:
        return False


class Replay(ThreadingHTTPServer):
    """Listens on a free port. ``seen``: what was asked, in order, and how it differed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cases = read_cases()
        self.seen: list[Json] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Replay
    protocol_version = "HTTP/1.1"  # clients keep their connections

    def do_GET(self) -> None:
        if self.path == SEEN:
            content = json.dumps(self.server.seen).encode()
            self.reply(200, {"content-type": "application/json"}, content)
        else:
            self.replay()

    def do_POST(self) -> None:
        self.replay()

    def replay(self) -> None:
        """The reply of the case that the path begins with."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        name, _, rest = self.path[1:].partition("/")
        case = self.server.cases.get(name)
        if case is None:
            self.refuse(f"there is no case {name!r}")
            return
        headers = {key.lower(): value for key, value in self.headers.items()}
        found = differences(case["request"], self.command, f"/{rest}", headers, body)
        self.server.seen.append(
            {
                "case": name,
                "method": self.command,
                "target": f"/{rest}",
                "headers": headers,
                "bytes": len(body),
                "differences": found,
            }
        )
        if found:
            self.refuse("; ".join(found))
            return
        response = case["response"]
        content = response["body"]
        text = content if isinstance(content, str) else json.dumps(content)
        self.reply(response["status"], response["headers"], text.encode())

    def refuse(self, detail: str) -> None:
        problem = {"status": 400, "code": "contract_broken", "detail": detail, "retryable": False}
        content = json.dumps(problem).encode()
        self.reply(400, {"content-type": "application/problem+json"}, content)

    def reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    with Replay() as server:
        print(server.url, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
