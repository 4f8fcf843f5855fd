"""Every body that a route takes has a deadline and a size."""

import socket
import time

import pytest

from service.http.context import Route
from service.http.routes import ROUTES
from tests.e2e.conftest import Guarded
from tests.e2e.server import Server
from tests.packages import CLASSIFIER

POSTED = [row for row in ROUTES if "POST" in row.methods]
IGNORES_ITS_BODY = "/v1/models/{name}/{version}/{action}"
ENDLESS = b"1000\r\n" + bytes(4096) + b"\r\n"
SECONDS = 20  # on a machine that is busy with other work; the connection itself waits for as long


@pytest.fixture(params=POSTED, ids=lambda row: row.template)
def row(request: pytest.FixtureRequest) -> Route:
    return request.param


@pytest.fixture
def connection(row: Route, strict_server: Server, guarded: Guarded) -> socket.socket:
    """One to a service on which the route may be asked for, and its head but for its last lines."""
    admin = row.scope_of("POST") == "admin"
    server, model = (guarded.server, "pets") if admin else (strict_server, CLASSIFIER)
    path = row.template.format(name=model, version=1, action="unpin")
    connection = socket.create_connection(server.address, timeout=SECONDS)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"X-API-Key: {guarded.operator}\r\n".encode()
    )
    return connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(65536).split()[1])


def test_a_body_that_does_not_come_ends_at_the_deadline(
    connection: socket.socket, row: Route
) -> None:
    with connection:
        began = time.monotonic()
        connection.sendall(b"X-Request-Timeout-Ms: 200\r\nContent-Length: 1000\r\n\r\n{")
        assert status(connection) == (200 if row.template == IGNORES_ITS_BODY else 504)
        assert time.monotonic() - began < SECONDS / 2, "sooner than the connection's own bound"


def test_a_body_without_end_is_refused_by_its_size(connection: socket.socket, row: Route) -> None:
    with connection:
        connection.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                connection.sendall(ENDLESS)
        except OSError:  # it has been refused, and closed, by now
            pass
        assert status(connection) == (200 if row.template == IGNORES_ITS_BODY else 413)
