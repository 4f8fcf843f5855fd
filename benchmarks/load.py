"""A load generator, run as a process so that it shares no interpreter with what it measures.

    python -m benchmarks.load plan.json > outcomes.jsonl

It writes prepared bytes over asyncio and httptools, so that a request costs it far less than it
costs the server.
"""

import asyncio
import base64
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import httptools
import orjson
import uvloop

IDLE_SECONDS = 3  # an older idle connection is not used again: the server closes it after five
LOST = 0  # the status of a request whose connection ended without a reply


@dataclass(frozen=True)
class Request:
    """A request to send.

    kind: its name in the outcomes. body: in base64. hang_up: whether to send only half of it and
    then close the connection.
    """

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""
    hang_up: bool = False

    def to_bytes(self, host: str) -> bytes:
        body = base64.b64decode(self.body)
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


@dataclass(frozen=True)
class Plan:
    """A load on 127.0.0.1:``port`` for ``seconds``.

    requests: sent in a random order that ``seed`` fixes.
    rate: arrivals a second, evenly spaced, whether or not the server keeps up (an open loop); None
        for a closed loop, where each of ``connections`` sends as soon as it has its answer.
    max_requests: ends the load before ``seconds`` are over.
    """

    port: int
    requests: list[Request]
    seconds: float
    rate: float | None = None
    connections: int = 16
    max_requests: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one request.

    at: when it was due, in seconds since the load began.
    late: seconds from then until it was sent: the load generator's own delay.
    latency: seconds from sending to the whole reply, a new connection's handshake included.
    status: of the reply, or `LOST`. code: of its problem details. version: of the model that
    answered. port: the connection's local port.
    """

    kind: str
    at: float
    late: float
    latency: float
    status: int
    code: str = ""
    version: str = ""
    error: str = ""
    port: int = 0

    @property
    def ended(self) -> float:
        """Seconds since the load began."""
        return self.at + self.late + self.latency


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request in flight."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self.open = False
        self.port = 0
        self.used_at = 0.0
        self._parser = httptools.HttpResponseParser(self)  # for all replies of the connection
        self._reply: asyncio.Future[int] | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.open = cast(asyncio.WriteTransport, transport), True
        self.port = transport.get_extra_info("sockname")[1]

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or ConnectionResetError("closed without a reply"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.open = self.open and self._parser.should_keep_alive()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(self._parser.get_status_code())

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the reply; raises OSError if the connection ends before it."""
        self._body = []
        self._reply = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._reply, b"".join(self._body)


class Load:
    """Sends the requests of ``plan`` and collects their outcomes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._contents = [request.to_bytes(f"127.0.0.1:{plan.port}") for request in plan.requests]
        self._order = self._choose()
        self._idle: list[Connection] = []
        self._sent = 0
        self._stopped = False
        self.outcomes: list[Outcome] = []

    async def run(self) -> None:
        """Send until the plan is over or SIGINT arrives."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stop)
        self._began = time.perf_counter()
        await (self._closed_loop() if self._plan.rate is None else self._open_loop(self._plan.rate))
        for connection in self._idle:
            connection.transport.close()

    def _stop(self) -> None:
        self._stopped = True

    def _choose(self) -> Iterator[int]:
        chooser = random.Random(self._plan.seed)
        while True:
            yield chooser.randrange(len(self._contents))

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    @property
    def _over(self) -> bool:
        limit = self._plan.max_requests
        return (
            self._stopped
            or self._elapsed >= self._plan.seconds
            or (limit is not None and self._sent >= limit)
        )

    async def _closed_loop(self) -> None:
        async def work() -> None:
            while not self._over:
                self._sent += 1
                await self._ask(self._elapsed)

        await asyncio.gather(*(work() for _ in range(self._plan.connections)))

    async def _open_loop(self, rate: float) -> None:
        running = set()
        number = 0
        while not self._over:
            due = number / rate
            number += 1
            self._sent += 1  # not in the task, which starts after `_over` is next read
            while (wait := due - self._elapsed) > 0:  # uvloop may sleep up to a millisecond less
                await asyncio.sleep(wait)
            task = asyncio.ensure_future(self._ask(due))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _ask(self, due: float) -> None:
        number = next(self._order)
        request = self._plan.requests[number]
        began = self._elapsed
        port, status, body, error = 0, LOST, b"", ""
        try:
            connection = self._take() or await self._connect()
            port = connection.port
            status, body = await self._send(connection, self._contents[number], request.hang_up)
        except (OSError, httptools.HttpParserError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        latency = self._elapsed - began
        code, version = read_reply(status, body)
        self.outcomes.append(
            Outcome(request.kind, due, began - due, latency, status, code, version, error, port)
        )

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", self._plan.port)
        return connection

    async def _send(
        self, connection: Connection, request: bytes, hang_up: bool
    ) -> tuple[int, bytes]:
        if hang_up:
            connection.transport.write(request[: len(request) // 2])
            await asyncio.sleep(0.01)
            connection.transport.close()
            return LOST, b""
        reply = await connection.send(request)
        if connection.open:
            connection.used_at = time.perf_counter()
            self._idle.append(connection)
        return reply

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.perf_counter() - connection.used_at < IDLE_SECONDS:
                return connection
            connection.transport.close()
        return None


def read_reply(status: int, body: bytes) -> tuple[str, str]:
    """The code of a problem, and the version of the model that answered; each may be empty."""
    try:
        content = orjson.loads(body)
        return (content["code"], "") if status >= 400 else ("", content["model"]["version"])
    except (ValueError, KeyError, TypeError):
        return "", ""


def main() -> None:
    content = json.loads(Path(sys.argv[1]).read_text())
    content["requests"] = [Request(**request) for request in content["requests"]]
    load = Load(Plan(**content))
    print("started", file=sys.stderr, flush=True)
    uvloop.run(load.run())
    for outcome in load.outcomes:
        print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
