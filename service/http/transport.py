"""How a connection is read from and closed, whatever its client does meanwhile."""

import socket
import time
from asyncio import Transport
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl

SEND_BUFFER_BYTES = 2**17  # which Linux doubles; it would let megabytes wait for a client to read
MAX_LINGER_SECONDS = 30.0  # for a client to send the rest of what nobody wants
IDLE_LINGER_SECONDS = 2.0  # for a client that sends nothing to read its reply


class Incoming(Protocol):
    """What comes of a client.

    is_sending: whether more may come of what it has begun. has_unread: whether something waits for
    earlier requests to be answered.
    """

    @property
    def is_sending(self) -> bool: ...
    @property
    def has_unread(self) -> bool: ...


class LingeringTransport:
    """A transport whose `close` leaves the client time to read what was written last.

    To close a socket while its client sends resets the connection, and the client's system then
    drops what has not been read: a refusal, which comes before the body that it refuses, would be
    lost. So only the half that is written is closed, and what comes is dropped for a while
    (RFC 9112, 9.6). The protocol drops what comes once `is_closing`, and says so by `heard`.
    """

    def __init__(self, transport: Transport, incoming: Incoming) -> None:
        self._transport, self._incoming = transport, incoming
        self._closed_at: float | None = None
        self._heard_at = 0.0
        self.write = transport.write
        own_socket = transport.get_extra_info("socket")
        own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closed_at is not None or self._transport.is_closing()

    def close(self) -> None:
        """At once if the client sends nothing, or if this is asked for again."""
        if self.is_closing() or not self._incoming.is_sending:
            self._transport.close()
            return
        self._closed_at = self._heard_at = time.monotonic()
        if not self._transport.is_reading():
            self._transport.resume_reading()
        if self._transport.can_write_eof():  # TLS has no half that can be closed
            self._transport.write_eof()

    def heard(self) -> None:
        """Something came of the client, and was dropped."""
        self._heard_at = time.monotonic()

    def look(self) -> None:
        """End what lingers for too long; to be called once in a while."""
        if self._closed_at is None:
            return
        now = time.monotonic()
        idle, all_in_all = now - self._heard_at, now - self._closed_at
        if idle > IDLE_LINGER_SECONDS or all_in_all > MAX_LINGER_SECONDS:
            self._transport.abort()


class Flow(FlowControl):
    """Nothing more is read while what has come waits, whoever wants it: memory would grow."""

    def __init__(self, transport: LingeringTransport, incoming: Incoming) -> None:
        super().__init__(transport)  # type: ignore[arg-type]
        self._incoming = incoming

    def resume_reading(self) -> None:
        if not self._incoming.has_unread:
            super().resume_reading()
