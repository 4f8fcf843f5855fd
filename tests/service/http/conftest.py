"""A server of `HttpProtocol`, and clients of it."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn

from service.http import connection, rounds, transport
from service.http.connection import HttpProtocol
from tests.service.http.raw import LIMITS, Client, answer


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpProtocol, "limits", LIMITS)
        patch.setattr(rounds, "LOOK_SECONDS", 0.05)
        patch.setattr(connection, "RATE_SECONDS", 0.5)
        for module in (connection, transport):
            patch.setattr(module, "MAX_LINGER_SECONDS", 3.0)
        config = uvicorn.Config(answer, http=HttpProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            yield listening.getsockname()[1]
            server.should_exit = True
            thread.join()


@pytest.fixture
def open_client(port: int) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def open_one() -> Client:
        clients.append(Client(port))
        return clients[-1]

    yield open_one
    for client in clients:
        client.socket.close()
