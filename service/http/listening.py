"""How uvicorn, which BentoML starts, listens and speaks; BentoML has no setting for either.

Several workers listen on one socket, and each is told of a connection that waits. uvloop takes all
that wait at once, so whoever is first has the sixteen of a client, and the others none. Here a
worker takes one at a time, and one that has more than another lets that one be first, for a moment:
if it stands still, the connection is not lost.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, ClassVar

import uvicorn.config
import uvloop

from service.http.connection import HttpProtocol
from service.http.limits import OTHER_FILES, ConnectionLimits, allow_files, connections_place
from service.scoreboard import PHASE, Phase, Scoreboard
from service.telemetry.logs import logger

WAIT_SECONDS = 0.002
NO_FILES_SECONDS = 1.0  # until it is tried again, where the system has no room for a connection

PROXIES_VARIABLE = "FORWARDED_ALLOW_IPS"  # uvicorn's

Factory = Callable[[], asyncio.Protocol]


class SharingLoop(uvloop.Loop):
    """Listens as described above."""

    board: ClassVar = Scoreboard.alone()

    async def create_server(  # type: ignore[override]
        self, factory: Factory, *, sock: socket.socket, ssl: SSLContext | None, **options: Any
    ) -> "Acceptor":
        acceptor = Acceptor(self, sock, factory, ssl, self.board)
        acceptor.start(options["backlog"])
        return acceptor


class Acceptor:
    """Takes connections from ``sock``, in the place of an asyncio.Server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        factory: Factory,
        ssl: SSLContext | None,
        board: Scoreboard,
    ) -> None:
        self._loop, self._socket, self._factory, self._ssl = loop, sock, factory, ssl
        self._board, self._place = board, connections_place(board)
        self._pause: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[Any]] = set()
        self.sockets = [sock]

    def start(self, backlog: int) -> None:
        self._socket.setblocking(False)
        self._socket.listen(backlog)
        self._loop.add_reader(self._socket, self._on_waiting)

    def close(self) -> None:
        """Take no more; those that are open stay."""
        self._loop.remove_reader(self._socket)
        if self._pause is not None:
            self._pause.cancel()

    async def wait_closed(self) -> None:
        """Return at once: nothing is being closed."""

    def _on_waiting(self) -> None:
        if self._has_most:
            self._wait(WAIT_SECONDS)
        else:
            self._take()

    @property
    def _has_most(self) -> bool:
        """Whether another worker has fewer connections."""
        others = [row[self._place] for row in self._board.workers if row[PHASE] == Phase.READY]
        return self._board.own[self._place] > min(others, default=0.0)

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        """Take one that nobody else has taken meanwhile."""
        self._pause = None
        self._loop.add_reader(self._socket, self._on_waiting)
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was sooner, or the client has gone
        except OSError as error:
            logger.error("no connection can be taken: %s", error.strerror)
            self._wait(NO_FILES_SECONDS)
            return
        self._board.own[self._place] += 1  # until its protocol counts it
        connection.setblocking(False)
        opening = self._loop.connect_accepted_socket(self._factory, connection, ssl=self._ssl)
        task = self._loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: "asyncio.Task[Any]") -> None:
        """A handshake that fails is the client's own affair."""
        self._opening.discard(task)
        if not task.cancelled():
            task.exception()


def loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """As uvicorn asks for one."""
    return SharingLoop


def use_protocol(
    limits: ConnectionLimits, trusted_proxies: Sequence[str], board: Scoreboard
) -> None:
    """Have the servers that uvicorn starts from now on speak `HttpProtocol` within ``limits``,
    believe what these proxies say of callers, and share connections with the other workers.

    uvicorn by itself believes whoever comes from 127.0.0.1, which may be any program's user.
    """
    if trusted_proxies or PROXIES_VARIABLE not in os.environ:
        os.environ[PROXIES_VARIABLE] = ",".join(trusted_proxies)
    HttpProtocol.limits, HttpProtocol.board = limits, board
    allow_files(limits.max_connections + OTHER_FILES)
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{HttpProtocol.__module__}:{HttpProtocol.__name__}"
    if board.expected > 1:
        SharingLoop.board = board
        uvicorn.config.LOOP_FACTORIES["auto"] = f"{__name__}:{loop_factory.__name__}"
