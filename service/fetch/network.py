"""Connections to checked addresses only.

The check is made where the connection is, so that neither a redirect nor a second look-up of the
name with another answer (DNS rebinding) can bypass it.
"""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import httpcore
from httpcore import SOCKET_OPTION

from service.fetch.addresses import Address, Network, is_allowed

MAX_ADDRESSES = 3  # tried of one name
MAX_LOOKUPS = 64  # at once, each on a thread

# From host and port to addresses as text, the best first; raises OSError.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of ``host`` by the system's resolver, each once; raises OSError.

    A look-up cannot be stopped: if it is cancelled, it ends only with its thread, so that whatever
    bounds the look-ups bounds the threads too.
    """
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    running = asyncio.get_running_loop().run_in_executor(_lookups(), look_up)
    try:
        found = await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@functools.cache
def _lookups() -> ThreadPoolExecutor:
    """Not the event loop's own threads, which are few, and others need them."""
    return ThreadPoolExecutor(MAX_LOOKUPS, "lookup")


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """TCP to public addresses and to those in ``exempt``; Unix sockets are not supported."""

    def __init__(self, resolver: Resolver, exempt: Sequence[Network] = ()) -> None:
        self._resolver, self._exempt = resolver, exempt
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve ``host`` once and connect to one of its addresses.

        timeout: seconds for each address. Raises httpcore.ConnectError, also if any one of the
        addresses is not allowed: a name with public and private ones is an attack or a mistake.
        """
        addresses = await self._find(host, port)
        for address in addresses:
            if not is_allowed(address, self._exempt):
                raise httpcore.ConnectError(f"{host} is {address}, which is not public")
        reason: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                reason = error
        raise reason

    async def _find(self, host: str, port: int) -> list[Address]:
        try:
            return [ip_address(host)]
        except ValueError:
            pass
        try:
            return [ip_address(found) for found in await self._resolver(host, port)]
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
