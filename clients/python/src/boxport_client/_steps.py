"""What a request flow asks its driver to do.

A request flow is a generator without a connection: it yields steps, is sent the outcome of each,
and returns the call's result. The two clients differ only in how they drive it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

import httpx

T = TypeVar("T")


class Reply(NamedTuple):
    """A reply that has been read whole."""

    status: int
    headers: httpx.Headers
    content: bytes


class Send(NamedTuple):
    """Send ``request`` and read the reply, or throw the httpx.RequestError into the flow.

    until: the time, by `time.monotonic`, at which the reply must be complete. httpx's own timeouts
        restart with each piece of a reply, so a server that sends a byte now and then would never
        exceed them.
    """

    request: httpx.Request
    until: float

    @property
    def remaining(self) -> float:
        """Seconds until the reply must be complete; negative once that time has passed."""
        return self.until - time.monotonic()

    def late(self) -> httpx.ReadTimeout:
        """The error to throw into the flow if the reply is not complete in time."""
        return httpx.ReadTimeout("the reply came too slowly", request=self.request)


class Pause(NamedTuple):
    """Sleep for ``seconds``."""

    seconds: float


class Work(NamedTuple):
    """Call ``function``, which reads files or processes images, where it blocks nobody else."""

    function: Callable[[], Any]


Step = Send | Pause | Work
RequestFlow = Generator[Step, Any, T]


def drive(flow: RequestFlow[T], send: Callable[[Send], Reply], sleep: Callable[[float], Any]) -> T:
    """Take the steps of ``flow``, one after the other, until it returns the call's result."""
    given: object = None
    failed: httpx.RequestError | None = None
    try:
        while True:
            step = flow.send(given) if failed is None else flow.throw(failed)
            given, failed = None, None
            if isinstance(step, Send):
                try:
                    given = send(step)
                except httpx.RequestError as error:
                    failed = error
            elif isinstance(step, Pause):
                sleep(step.seconds)
            else:
                given = step.function()
    except StopIteration as done:
        answer: T = done.value
        return answer
