"""The network of these tests: loopback only."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from service.fetch.fetcher import UrlFetcher
from service.fetch.policy import FetchPolicy
from tests.service.fetch.servers import LocalServer, Resolver, local_server

STORE = "127.0.0.2"  # the image store: exempt, where the rest of loopback is not

Fetch = Callable[..., bytes]


@pytest.fixture(autouse=True)
def connects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a connection was tried to. Those beyond loopback have no route, and of the
    system's resolver only localhost is asked."""
    seen: list[str] = []
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        seen.append(address[0])
        if not ip_address(address[0]).is_loopback:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        connect(self, address)

    def local(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "localhost":
            pytest.fail(f"the system was asked for {host}")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", local)
    return seen


@pytest.fixture
def store() -> Iterator[LocalServer]:
    """A server of images at an address that the operator has allowed."""
    with local_server(STORE) as server:
        yield server


@pytest.fixture(scope="session")
def no_trust() -> ssl.SSLContext:
    """Trusts no certificate; fast to make."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
def fetch(no_trust: ssl.SSLContext) -> Fetch:
    """Fetches a URL by a policy that allows much; keywords replace fields of it."""

    def run(
        url: str,
        resolver: Any = None,
        ssl_context: ssl.SSLContext = no_trust,
        port: int = 80,
        **changes: Any,
    ) -> bytes:
        policy = FetchPolicy(
            **{
                "allowed_hosts": ("*",),
                "max_bytes": 100_000,
                "timeout": 5,
                "allowed_ports": (80, 443, port),
                "allowed_networks": (ip_network(f"{STORE}/32"),),
                **changes,
            }
        )

        async def scenario() -> bytes:
            return await UrlFetcher(policy, resolver or Resolver({}), ssl_context).fetch(url)

        return asyncio.run(scenario())

    return run
