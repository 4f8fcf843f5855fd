"""A transport that keeps to a deadline, whatever the server does.

httpx's timeouts are those of single reads and writes, and of connecting to one address: a server
that sends or takes a byte now and then would never exceed them, and a name with many addresses
would multiply them. Here each wait on the network gets no more than what is left until the
request's deadline.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from boxport_client._proxies import Proxy

UNTIL = "until"  # extension of a request: the deadline, by `time.monotonic`
CHUNK = 16 * 1024  # bytes of a write that are sent before the clock is looked at again


class BoundedTransport(httpx.BaseTransport):
    """Sends requests whose extension ``until`` is the deadline of their reply.

    proxy: through which they go. options: of httpcore's connection pools.
    """

    def __init__(self, proxy: Proxy | None, tls: ssl.SSLContext, **options: Any) -> None:
        self._network = _Network()
        options.update(ssl_context=tls, network_backend=self._network)
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**options)
            return
        options.update(proxy_url=str(proxy.url.copy_with(userinfo=b"")))
        if proxy.url.userinfo:
            options.update(proxy_auth=(proxy.url.username, proxy.url.password))
        if proxy.is_socks:
            self._pool = httpcore.SOCKSProxy(**options)
        else:
            if proxy.url.scheme == "https":
                options.update(proxy_ssl_context=tls)
            self._pool = httpcore.HTTPProxy(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._network.until = request.extensions[UNTIL]
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _httpx_errors():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextmanager
def _httpx_errors() -> Generator[None, None, None]:
    """Raise httpcore's errors as those of httpx, which have the same names."""
    try:
        yield
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if kind is None or not isinstance(error, getattr(httpcore, kind.__name__, ())):
            raise
        raise kind(str(error)) from error


class _Network(threading.local, httpcore.NetworkBackend):
    """The network, with one deadline for each thread: requests are sent in their caller's."""

    until = float("inf")

    def within(self, timeout: float | None, late: type[Exception]) -> float:
        """The seconds that a wait of at most ``timeout`` may take; raises ``late`` if none."""
        left = self.until - time.monotonic()
        left = left if timeout is None else min(timeout, left)
        if left <= 0:
            raise late("the deadline has passed")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's addresses that takes it; those that are left
        share the time that is left."""
        end = time.monotonic() + self.within(timeout, httpcore.ConnectTimeout)
        addresses = _resolve(host, port, end)
        while True:
            left = self.within(end - time.monotonic(), httpcore.ConnectTimeout)
            share, address = left / len(addresses), addresses.pop(0)
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _Stream(stream, self)


class _Stream(httpcore.NetworkStream):
    """A stream whose waits end at the network's deadline for the thread."""

    def __init__(self, stream: httpcore.NetworkStream, network: _Network) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), CHUNK):
            left = self._network.within(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[begin : begin + CHUNK], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._network.within(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _Stream(stream, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _resolve(host: str, port: int, end: float) -> list[str]:
    """The host's addresses, each once; raises ConnectTimeout if they are not known by ``end``."""
    found: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.put(error)

    # The system's resolver takes no timeout; a daemon does not keep the process from ending.
    threading.Thread(target=look_up, name="boxport-resolver", daemon=True).start()
    try:
        rows = found.get(timeout=max(0.0, end - time.monotonic()))
    except queue.Empty:
        raise httpcore.ConnectTimeout(f"the address of {host} was not found in time") from None
    if isinstance(rows, OSError):
        raise httpcore.ConnectError(str(rows)) from rows
    return list(dict.fromkeys(str(row[4][0]) for row in rows))
