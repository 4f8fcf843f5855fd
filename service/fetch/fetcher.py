"""Fetches an image by its URL, safe against server-side request forgery (OWASP API7:2023).

A request names a URL, and the service, which is behind the firewall, fetches it: it must not reach
what only the service can reach. There are three checks: the policy allows the URL (`policy`), the
URL can be read in one way only (`urls`), and every connection is to a checked address (`network`).
httpcore, beneath httpx, keeps no cookies, uses no proxy of the environment, follows no redirect and
decompresses nothing.

Each request has a connection of its own: httpcore's pool leaks a connection if a request is
cancelled while it waits for one (encode/httpcore#1093, in 1.0.9), and callers who name slow servers
could cause that at will. For the same reason a caller has a share of the connections, and not all.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Protocol
from weakref import WeakValueDictionary

import httpcore

from service.fetch.network import MAX_ADDRESSES, MAX_LOOKUPS, PublicNetwork, Resolver, resolve
from service.fetch.policy import FetchPolicy
from service.fetch.urls import ImageUrl
from service.problems import Problem
from service.telemetry.logs import logger

MAX_CONNECTIONS = 16  # of one caller at once; waiting for one counts towards the policy's timeout
MAX_CONNECTIONS_IN_ALL = MAX_LOOKUPS
HEADERS = (
    ("User-Agent", "Boxport"),
    ("Accept", "image/*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
)
REDIRECTS = frozenset({301, 302, 303, 307, 308})

# The same message for all faults: which address refused, was forbidden or did not answer would
# reveal the network behind the service.
UNREACHABLE = "No image came within {timeout:g} s: the host of the URL cannot be reached or fails."
FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,  # TimeoutError is one
)


class Room(Protocol):
    """What counts the bytes of one file as they come."""

    def add(self, number: int) -> None:
        """Raises Problem if there are too many."""


HoldBytes = Callable[[], AbstractContextManager[Room | None]]


class UrlFetcher:
    """Fetches what ``policy`` allows.

    ssl_context: decides which certificates are trusted: by default those of certifi, and of
        SSL_CERT_FILE if that is set.
    hold_bytes: counts what has come of each file, until it is here as a whole; None: nothing does.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
        hold_bytes: HoldBytes = nullcontext,
    ) -> None:
        self._policy = policy
        self._network = PublicNetwork(resolver, policy.allowed_networks)
        self._ssl_context = ssl_context or httpcore.default_ssl_context()
        self._hold_bytes = hold_bytes
        self._places = asyncio.Semaphore(MAX_CONNECTIONS_IN_ALL)
        self._places_of = WeakValueDictionary[str, asyncio.Semaphore]()
        self._running = set[asyncio.Task[bytes]]()

    async def fetch(self, url: str, caller: str = "") -> bytes:
        """The body behind ``url``, unchecked and undecoded.

        caller: who asks, and how urgently; each has places of its own.

        Raises Problem: url_not_allowed if the policy forbids the URL or where it redirects to,
        url_too_large, or url_unreachable if it cannot be fetched for any other reason.
        """
        first = self._policy.read(url)
        # A task of its own, as it may have to stay after it is given up: see `network.resolve`.
        task = asyncio.create_task(self._follow(first, caller))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(self._policy.timeout):
                return await asyncio.shield(task)
        except FAULTS as error:
            logger.info("Nothing fetched from %s: %r", first.authority, error)
            raise Problem(
                "url_unreachable", UNREACHABLE.format(timeout=self._policy.timeout)
            ) from error
        finally:
            task.cancel()

    async def _follow(self, url: ImageUrl, caller: str) -> bytes:
        places = self._places_of.setdefault(caller, asyncio.Semaphore(MAX_CONNECTIONS))
        for _ in range(self._policy.max_redirects + 1):
            async with places, self._places, self._request(url) as response:
                if response.status not in REDIRECTS:
                    return await self._read(response)
                location = _header(response, b"location")
            url = self._policy.redirect(url, location)
        raise Problem(
            "url_unreachable", f"The URL redirects more than {self._policy.max_redirects} times."
        )

    @asynccontextmanager
    async def _request(self, url: ImageUrl) -> AsyncIterator[httpcore.Response]:
        target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        connection = httpcore.AsyncHTTPConnection(
            target.origin, self._ssl_context, network_backend=self._network
        )
        # an address that does not answer must leave time for the next one
        timeouts = {"connect": self._policy.timeout / MAX_ADDRESSES}
        headers = [("Host", url.authority), *HEADERS]
        async with (
            connection,
            connection.stream(
                "GET", target, headers=headers, extensions={"timeout": timeouts}
            ) as response,
        ):
            yield response

    async def _read(self, response: httpcore.Response) -> bytes:
        if response.status != 200:
            raise Problem("url_unreachable", f"The URL gives status {response.status}, not 200.")
        if _header(response, b"content-encoding").lower() not in ("", "identity"):
            # a few compressed kilobytes may expand to gigabytes, and images are compressed already
            raise Problem("url_unreachable", "The URL gives compressed content, unasked.")
        if int(_header(response, b"content-length") or 0) > self._policy.max_bytes:
            raise self._too_large()
        content = bytearray()
        with self._hold_bytes() as room:
            async for chunk in response.aiter_stream():
                content += chunk
                if len(content) > self._policy.max_bytes:
                    raise self._too_large()
                if room is not None:
                    room.add(len(chunk))
            return bytes(content)

    def _too_large(self) -> Problem:
        return Problem("url_too_large", f"The URL gives more than {self._policy.max_bytes} bytes.")


def _header(response: httpcore.Response, name: bytes) -> str:
    """The values of a header, joined by commas if it is repeated."""
    values = (value for key, value in response.headers if key.lower() == name)
    return b", ".join(values).decode("latin-1")
