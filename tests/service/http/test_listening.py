"""Workers share the connections of one socket, and none is lost with one that stands still."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from service.http.limits import connections_place
from service.http.listening import SharingLoop, loop_factory
from service.scoreboard import PHASE, Phase, Scoreboard
from tests.e2e.server import eventually
from tests.service.scoreboards import scoreboards


class Listener:
    """A worker's event loop, on a thread of its own."""

    def __init__(self, board: Scoreboard, sock: socket.socket) -> None:
        self.board, self._socket = board, sock
        self.goes_on = threading.Event()
        self.goes_on.set()
        board.own[PHASE] = Phase.READY

    @property
    def connections(self) -> int:
        return int(self.board.own[connections_place(self.board)])

    def stand_still(self) -> None:
        stands = threading.Event()

        def stand() -> None:
            stands.set()
            self.goes_on.wait()

        self.goes_on.clear()
        self.loop.call_soon_threadsafe(stand)
        assert stands.wait(10)

    @contextmanager
    def listening(self) -> Iterator[None]:
        started = threading.Event()

        class Loop(SharingLoop):
            board = self.board

        async def listen() -> None:
            self.loop, over = asyncio.get_running_loop(), asyncio.Event()
            server = await self.loop.create_server(
                asyncio.Protocol, sock=self._socket, ssl=None, backlog=128
            )
            self.end = lambda: self.loop.call_soon_threadsafe(over.set)
            started.set()
            await over.wait()
            server.close()
            await server.wait_closed()

        def run() -> None:
            with asyncio.Runner(loop_factory=Loop) as runner:
                runner.run(listen())

        thread = threading.Thread(target=run)
        thread.start()
        assert started.wait(10)
        yield
        self.goes_on.set()
        self.end()
        thread.join(10)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Listener]]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as sock, ExitStack() as stack:
        listeners = [
            Listener(board, stack.enter_context(sock.dup()))
            for board in scoreboards(2, monkeypatch)
        ]
        for one in listeners:
            stack.enter_context(one.listening())
        yield listeners


@contextmanager
def clients(worker: Listener, number: int) -> Iterator[None]:
    address = worker._socket.getsockname()
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(socket.create_connection(address, timeout=10))
        yield


def test_each_takes_its_part(workers: list[Listener]) -> None:
    with clients(workers[0], 16):
        eventually(lambda: sum(one.connections for one in workers) == 16, "all are taken", 20)
        assert max(one.connections for one in workers) <= 10


def test_what_one_that_stands_still_does_not_take_the_other_does(workers: list[Listener]) -> None:
    workers[0].stand_still()
    with clients(workers[0], 16):
        eventually(lambda: workers[1].connections == 16, "the other has all", 20)
    assert workers[0].connections == 0


def test_who_is_not_ready_is_not_waited_for(workers: list[Listener]) -> None:
    workers[0].board.own[PHASE] = Phase.STARTING
    workers[0].stand_still()
    with clients(workers[0], 4):
        eventually(lambda: workers[1].connections == 4, "it has all", 20)


def test_the_loop_is_what_uvicorn_asks_for() -> None:
    loop = loop_factory()()
    assert isinstance(loop, SharingLoop)
    loop.close()
