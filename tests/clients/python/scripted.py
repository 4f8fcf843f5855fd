"""A real HTTP server that does what it is told: refuses, breaks off, hangs, dribbles, answers."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = {"name": "m", "version": "1", "sha256": "0" * 64}
Deed = Callable[["Handler"], None]


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict
    body: bytes
    at: float = field(default_factory=time.monotonic)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):  # the client went away: some tests are about that
            self.close_connection = True

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        deed = self.server.owner.next_deed(Asked(self.command, self.path, headers, self.body))
        deed(self)

    do_GET = do_CONNECT = do_POST  # noqa: N815

    def log_message(self, *words: object) -> None:
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Listening(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False


class ScriptedServer:
    """Does the deeds of ``script`` one after the other, and ``then`` for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Deed] = []
        self.then: Deed = answers()
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._http = Listening(("127.0.0.1", 0), Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
            self.url = f"https://localhost:{self._http.server_port}"

    def next_deed(self, asked: Asked) -> Deed:
        with self._lock:
            self.asked.append(asked)
            return self.script.pop(0) if self.script else self.then

    def __enter__(self) -> "ScriptedServer":
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()


def answers(width: int = 100, height: int = 80) -> Deed:
    """An answer of one cat, for as many images as a form has; or of its width and height."""
    detection = {"box": [10, 20, 30, 40], "score": 0.9, "label": "cat", "label_id": 8}
    row = {"label": "cat", "label_id": 8, "score": 0.9}

    def deed(handler: Handler) -> None:
        asks_detections = "classify" not in handler.path
        rows = {"detections": [detection]} if asks_detections else {"classifications": [row]}
        content = {
            "model": MODEL,
            "request_id": handler.headers["x-request-id"],
            "results": [{"width": width, "height": height, **rows}],
            "timing_ms": {"total": 1.0},
        }
        handler.reply(200, json.dumps(content).encode(), Content_Type="application/json")

    return deed


def says(status: int, body: bytes, **headers: str) -> Deed:
    return lambda handler: handler.reply(status, body, **headers)


def refuses(status: int, code: str, retryable: bool, **headers: str) -> Deed:
    def deed(handler: Handler) -> None:
        problem = {
            "type": "about:blank",
            "status": status,
            "code": code,
            "detail": "No.",
            "retryable": retryable,
            "request_id": handler.headers["x-request-id"],
        }
        content = json.dumps(problem).encode()
        handler.reply(status, content, Content_Type="application/problem+json", **headers)

    return deed


def drops(handler: Handler) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


def breaks_off(handler: Handler) -> None:
    """Closes the connection in the midst of the reply."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"model"')
    handler.wfile.flush()
    handler.close_connection = True


def hangs(handler: Handler) -> None:
    """Says nothing until the test is over."""
    handler.server.owner.released.wait()
    handler.close_connection = True


def dribbles(handler: Handler) -> None:
    """A byte of the reply now and then, for ever: no pause is ever long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.owner.released.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def waits(seconds: float, deed: Deed) -> Deed:
    def late(handler: Handler) -> None:
        time.sleep(seconds)
        deed(handler)

    return late
