"""How messages arrive: in bounded memory and time.

gRPC keeps a message until all of it is here, and only then says how long it is; so bytes cannot be
counted as they come, as those of a body over HTTP are. What is counted is how many messages may be
on their way at once: that many times the largest is what they take. None of a call's message is
taken off its connection, but for one window of flow control, before this asks for it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from grpc.aio import EOF, ServicerContext

from service.inference.deadline import Deadline
from service.problems import Problem
from service.settings import Settings

Rpc = ServicerContext[Any, Any]

PARTS = 32  # of max_bytes_in_service, of which a message is one at most
PATIENCE_SECONDS = 1.0  # that a message has to arrive while others wait for its place


def largest_message(settings: Settings) -> int:
    """Bytes of a message at most."""
    return min(settings.max_body_bytes, max(1, settings.max_bytes_in_service // PARTS))


class Arrivals:
    """The places for messages that are on their way.

    Calls of one message share half of them; who waits for one gets that of the slowest, which is
    refused. An open stream may send at any time, so each has a place of the other half, for as long
    as it is open.

    places: of each half.
    idle_seconds: after which a stream without a message is ended.
    """

    def __init__(self, places: int, idle_seconds: float) -> None:
        self._places, self._idle_seconds = places, idle_seconds
        self._free = places
        self._waiting: list[asyncio.Future[None]] = []
        self._arriving: OrderedDict[asyncio.Timeout, float] = OrderedDict()  # since when each is
        self._leaving = 0  # that have been told to give up their places, and have not yet
        self._next: asyncio.TimerHandle | None = None  # when one is told to
        self.streams = 0

    @classmethod
    def of(cls, settings: Settings) -> "Arrivals":
        """Those of one worker, which has its part of what may be in service."""
        most = settings.max_bytes_in_service // 2 // settings.worker_count
        places = max(1, most // largest_message(settings))
        return cls(places, settings.keep_alive_timeout_ms / 1000)

    async def read(self, rpc: Rpc, deadline: Deadline) -> bytes | None:
        """The next message of a call; None if the caller has ended it without another.

        Raises Problem if it has not come by ``deadline``, or its place is given to another.
        """
        async with deadline.limit("its message had come"):
            await self._take_place()
            try:
                async with asyncio.timeout(None) as timer:
                    with self._arrival(timer):
                        return _message(await rpc.read())
            except TimeoutError:
                if timer.expired():
                    raise Problem(
                        "request_too_slow",
                        f"The message did not come within {PATIENCE_SECONDS:g} s, and others wait.",
                    ) from None
                raise
            finally:
                self._give_place()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """A place for a stream while it is open; raises Problem if there is none."""
        if self.streams >= self._places:
            raise Problem("overloaded", f"{self._places} streams are open, which is the most.")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    async def read_stream(self, rpc: Rpc) -> bytes | None:
        """The next message of a stream that has a place; None at its end. Raises Problem if none
        comes for too long."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                return _message(await rpc.read())
        except TimeoutError:
            raise Problem(
                "request_too_slow", f"The stream had no message for {self._idle_seconds:g} s."
            ) from None

    async def _take_place(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._plan()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it has just been given one
                self._give_place()
            with suppress(ValueError):  # who gives places has passed over it already
                self._waiting.remove(turn)
            raise

    def _give_place(self) -> None:
        """To who has come last, or back. The first may be hundreds that never send anything: each
        would have its time before those who do."""
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():  # who waited has not gone
                turn.set_result(None)
                return
        self._free += 1

    @contextmanager
    def _arrival(self, timer: asyncio.Timeout) -> Iterator[None]:
        self._arriving[timer] = asyncio.get_running_loop().time()
        self._plan()
        try:
            yield
        finally:
            if self._arriving.pop(timer, None) is None:
                self._leaving -= 1

    def _plan(self) -> None:
        """Have the slowest message give up its place, once it has had its time and others wait."""
        if self._next is None and self._arriving and len(self._waiting) > self._leaving:
            since = next(iter(self._arriving.values()))
            loop = asyncio.get_running_loop()
            self._next = loop.call_at(since + PATIENCE_SECONDS, self._end_slowest)

    def _end_slowest(self) -> None:
        self._next = None
        if self._arriving and len(self._waiting) > self._leaving:
            timer, since = next(iter(self._arriving.items()))
            if asyncio.get_running_loop().time() >= since + PATIENCE_SECONDS:
                del self._arriving[timer]
                self._leaving += 1
                timer.reschedule(0)  # at once
        self._plan()


def _message(read: Any) -> bytes | None:
    return None if read is EOF else read
