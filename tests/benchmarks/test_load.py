"""The load generator against a real server, which records its requests."""

import base64
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Plan, Request
from benchmarks.load_process import run_load

PAUSE = 0.02  # seconds that an answer takes
BODY = b"photo"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()

    def do_POST(self) -> None:
        noting: Notes = self.server.notes
        with self.lock:
            noting.now += 1
            noting.most = max(noting.most, noting.now)
            noting.ports.add(self.client_address[1])
            noting.began.append(time.monotonic())
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(PAUSE)
        with self.lock:
            noting.now -= 1
        self.send_response(200 if body == BODY else 400)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


class Notes:
    def __init__(self) -> None:
        self.now = self.most = 0
        self.ports: set[int] = set()
        self.began: list[float] = []


@pytest.fixture
def noting() -> Iterator[tuple[int, Notes]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.notes = Notes()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], server.notes
    server.shutdown()
    thread.join()
    server.server_close()


SHOT = Request(
    "photo", "POST", "/", {"Content-Type": "image/jpeg"}, base64.b64encode(BODY).decode()
)


def test_closed_loop_keeps_its_connections_busy(noting: tuple[int, Notes], tmp_path: Path) -> None:
    port, notes = noting
    outcomes = run_load(Plan(port, [SHOT], seconds=0.6, connections=3), tmp_path)
    assert {outcome.status for outcome in outcomes} == {200}
    assert len(notes.ports) == notes.most == 3
    assert len(notes.began) == len(outcomes) > 6
    assert all(outcome.latency >= PAUSE for outcome in outcomes)


def test_open_loop_asks_on_time_whatever_comes_back(
    noting: tuple[int, Notes], tmp_path: Path
) -> None:
    port, notes = noting
    outcomes = run_load(Plan(port, [SHOT], seconds=30, rate=40, max_requests=20), tmp_path)
    assert len(outcomes) == 20
    due = sorted(outcome.at for outcome in outcomes)
    assert due == pytest.approx([number / 40 for number in range(20)])
    assert all(outcome.late >= 0 for outcome in outcomes)
    # a closed loop of one connection would need longer than this, one of many be done at once
    assert notes.began[-1] - notes.began[0] > 19 / 40 - 0.1


def test_it_ends_after_so_many_requests(noting: tuple[int, Notes], tmp_path: Path) -> None:
    port, _ = noting
    assert (
        len(run_load(Plan(port, [SHOT], seconds=30, connections=1, max_requests=5), tmp_path)) == 5
    )
