"""What a conversation with the service asks its driver to do.

A conversation is a generator without a connection: it yields steps, is sent what each gave, and
returns the call's answer. The two clients differ only in how they take the steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar, Union

import httpx

T = TypeVar("T")


class Reply(NamedTuple):
    """A reply that has been read whole."""

    status: int
    headers: httpx.Headers
    content: bytes


class Send(NamedTuple):
    """Send ``request`` and read the reply, or throw the httpx.RequestError back in.

    until: the moment of `time.monotonic` at which the reply has to be whole. httpx's own timeouts
        begin anew with each piece of a reply, so a server that sends a byte now and then would
        pass them for ever.
    """

    request: httpx.Request
    until: float

    @property
    def remaining(self) -> float:
        """Seconds until the reply has to be whole; negative once that has passed."""
        return self.until - time.monotonic()

    def late(self) -> httpx.ReadTimeout:
        """What is thrown back in if the reply is still coming when it should be whole."""
        return httpx.ReadTimeout("the reply came too slowly", request=self.request)


class Pause(NamedTuple):
    """Sleep so long."""

    seconds: float


class Work(NamedTuple):
    """Call ``function``, which reads files or changes pictures: not where others would wait."""

    function: Callable[[], Any]


Step = Union[Send, Pause, Work]
Conversation = Generator[Step, Any, T]
