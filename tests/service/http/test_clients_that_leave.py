"""A client that leaves while replies are written to it, in whatever way, is no fault of ours."""

import asyncio
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service.http import rounds
from service.http.connection import HttpProtocol
from service.http.limits import ConnectionLimits
from tests.e2e.server import eventually

UNREAD_SECONDS = 0.3  # for which a client that reads nothing is waited for
PART, PARTS = bytes(2**14), 200
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Answers:
    """The application; ``open`` replies are being written."""

    def __init__(self) -> None:
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A long reply, whose client may be gone before any part of it."""
        self.open += 1
        try:
            length = [(b"content-length", b"%d" % (len(PART) * PARTS))]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            for number in range(1, PARTS + 1):
                more = number < PARTS
                await send({"type": "http.response.body", "body": PART, "more_body": more})
                await asyncio.sleep(0)
        finally:
            self.open -= 1


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[int, Answers]]:
    """Port and application of a server."""
    answers = Answers()
    limits = ConnectionLimits(unread_timeout_ms=int(UNREAD_SECONDS * 1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpProtocol, "limits", limits)
        patch.setattr(rounds, "LOOK_SECONDS", 0.05)
        config = uvicorn.Config(answers, http=HttpProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            yield listening.getsockname()[1], answers
            server.should_exit = True
            thread.join()


def read_nothing(client: socket.socket) -> None:
    time.sleep(2 * UNREAD_SECONDS)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def send_no_request(client: socket.socket) -> None:
    client.sendall(b"nonsense\r\n\r\n")
    read_nothing(client)


def cut_a_body(client: socket.socket) -> None:
    client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    read_nothing(client)


def end_a_chunk_wrongly(client: socket.socket) -> None:
    client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
    read_nothing(client)


@pytest.mark.parametrize("requests", [1, 5], ids=["one request", "five at once"])
@pytest.mark.parametrize(
    "leave", [read_nothing, reset, send_no_request, cut_a_body, end_a_chunk_wrongly]
)
def test_no_client_makes_a_reply_fail(
    service: tuple[int, Answers],
    caplog: pytest.LogCaptureFixture,
    leave: Callable[[socket.socket], None],
    requests: int,
) -> None:
    port, answers = service
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(REQUEST * requests)
        assert select.select([client], [], [], 10)[0]
        leave(client)
        eventually(lambda: not HttpProtocol.addresses, "the connection is closed")
        eventually(lambda: not answers.open, "the reply ends")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
