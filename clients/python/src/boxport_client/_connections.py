"""Connections to one service, and who may share them.

A pool of connections belongs to one process and, if it is asynchronous, to one event loop. Two
processes with one connection after a fork would read each other's replies; so each process, and
each loop, gets a pool of its own when it first sends something.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from boxport_client._bounded import UNTIL, BoundedTransport
from boxport_client._errors import ClientClosed, ConnectionFailed, MissingExtra
from boxport_client._proxies import Proxy
from boxport_client._steps import Reply, Send

Verify = bool | str | os.PathLike[str] | ssl.SSLContext

# A service keeps idle connections for much longer, but proxies, and services of old, close them
# after 5 s: a request would now and then meet a connection that is just being closed.
KEEPALIVE_SECONDS = 4.0


@dataclass(frozen=True)
class Connector:
    """How connections to a service are made; unlike them, it may go to other processes.

    secure: whether the service or the proxy is reached by TLS. The other fields are arguments of
        `Client`.

    Raises ValueError for a ``verify`` that cannot be used, ConnectionFailed for an environment with
    certificates that cannot be read, and MissingExtra if HTTP/2 is wanted but not installed.
    """

    proxy: Proxy | None
    secure: bool
    http2: bool
    verify: Verify

    def __post_init__(self) -> None:
        if self.http2 and importlib.util.find_spec("h2") is None:
            raise MissingExtra("http2=True needs h2: pip install 'boxport-client[http2]'")
        if not isinstance(self.verify, bool) or os.environ.get("SSL_CERT_FILE"):
            self.tls()  # what cannot be read is told of at once

    def tls(self) -> ssl.SSLContext:
        """The certificates that are trusted."""
        if isinstance(self.verify, ssl.SSLContext):
            return self.verify
        if not isinstance(self.verify, bool):
            return _trusting(self.verify)
        context = _trusting_usual() if self.secure and self.verify else _trusting_none()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def client(self) -> httpx.Client:
        """A pool of connections, without any yet.

        As many are kept as there are concurrent calls, which callers bound: with a lower limit,
        each call beyond it would open and close one of its own.
        """
        transport = BoundedTransport(
            self.proxy,
            self.tls(),
            http2=self.http2,
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        return httpx.Client(transport=transport, trust_env=False)

    def async_client(self) -> httpx.AsyncClient:
        """As `client`, for the event loop that runs."""
        tls = self.tls()
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        proxy = None
        if self.proxy is not None:
            by_tls = tls if self.proxy.url.scheme == "https" else None
            proxy = httpx.Proxy(self.proxy.url, ssl_context=by_tls)
        transport = httpx.AsyncHTTPTransport(
            verify=tls, http2=self.http2, limits=limits, proxy=proxy
        )
        return httpx.AsyncClient(transport=transport, trust_env=False)


class Connections:
    """The pools of those processes that use one `Client`. Safe for threads and forks."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        # By process: what a parent left here is neither used nor closed.
        self._pools: dict[int, httpx.Client] = {}
        self._is_closed = False

    def send(self, step: Send) -> Reply:
        """The reply, complete before the step's deadline; raises httpx.RequestError."""
        _check_open(self._is_closed)
        step.request.extensions[UNTIL] = step.until
        response = self._pool().send(step.request)
        return Reply(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Close this process's connections; nothing can be sent afterwards."""
        self._is_closed = True
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Connections, (self._connector,)

    def _pool(self) -> httpx.Client:
        process = os.getpid()
        pool = self._pools.get(process)
        # No lock, which another thread might hold while this process is forked. Of two pools that
        # are made at once, the one that is not kept has no connection.
        return pool or self._pools.setdefault(process, self._connector.client())


class AsyncConnections:
    """The pools of those processes and event loops that use one `AsyncClient`."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._pools: dict[_Owner, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}
        self._is_closed = False

    async def send(self, step: Send) -> Reply:
        """The reply, complete before the step's deadline; raises httpx.RequestError."""
        _check_open(self._is_closed)
        pool = await self._pool()
        try:
            response = await asyncio.wait_for(pool.send(step.request), step.remaining)
        except asyncio.TimeoutError:
            raise step.late() from None
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Close this process's connections; nothing can be sent afterwards.

        Those of other loops are closed by them.
        """
        self._is_closed = True
        here = _Owner.running()
        for owner in list(self._pools):
            if owner.process == here.process:
                _, keeper = self._pools.pop(owner)
                if owner == here:
                    await keeper.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        return AsyncConnections, (self._connector,)

    async def _pool(self) -> httpx.AsyncClient:
        owner = _Owner.running()
        kept = self._pools.get(owner)
        if kept is not None:
            return kept[0]
        for other in list(self._pools):
            if other.loop.is_closed() and other.process == owner.process:
                self._pools.pop(other, None)
        pool = self._connector.async_client()
        keeper = _closed_with_loop(pool)
        self._pools[owner] = pool, keeper
        await keeper.__anext__()
        return pool


class _Owner(NamedTuple):
    process: int
    loop: asyncio.AbstractEventLoop

    @classmethod
    def running(cls) -> _Owner:
        return cls(os.getpid(), asyncio.get_running_loop())


async def _closed_with_loop(pool: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Close ``pool`` at the end of its event loop, or once nobody has this generator any more.

    Event loops close the asynchronous generators that have begun on them: asyncio.run when it ends,
    and all of them when one is garbage.
    """
    try:
        yield
    finally:
        await pool.aclose()


def _check_open(is_closed: bool) -> None:
    if is_closed:
        raise ClientClosed("the client is closed; make another")


def _trusting(path: str | os.PathLike[str]) -> ssl.SSLContext:
    """A file of certificates in PEM, or a folder of them as OpenSSL wants it."""
    name = os.fspath(path)
    try:
        if Path(name).is_dir():
            return ssl.create_default_context(capath=name)
        return ssl.create_default_context(cafile=name)
    except OSError as error:
        raise ValueError(f"{name}: is no file of certificates: {_words(error)}") from error


def _trusting_usual() -> ssl.SSLContext:
    """Those that SSL_CERT_FILE and SSL_CERT_DIR name, else those of the package certifi."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        words = f"SSL_CERT_FILE={file} is no file of certificates: {_words(error)}"
        raise ConnectionFailed(words, retryable=False) from error


def _trusting_none() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "it is not in PEM format"
    return error.strerror or str(error)
