"""No URL of a caller reaches behind the firewall."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_network

import pytest

from service.fetch.network import MAX_ADDRESSES, resolve
from service.problems import Problem
from tests.service.fetch.conftest import STORE, Fetch
from tests.service.fetch.hostile import ADDRESSES, HOSTILE
from tests.service.fetch.servers import LocalServer, Resolver, local_server, reply

PUBLIC = "93.184.215.14"


class Canary:
    """A server that must not be reached, at one port of 127.0.0.1 and of ::1, if there is IPv6."""

    def __init__(self, stack: ExitStack) -> None:
        self.servers = [stack.enter_context(local_server())]
        self.port = self.servers[0].port
        if socket.has_ipv6:
            with suppress(OSError):
                self.servers.append(stack.enter_context(local_server("::1", self.port)))
        for server in self.servers:
            server.answers["/"] = reply(200, b"secret")

    @property
    def connections(self) -> int:
        return sum(server.connections for server in self.servers)


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    with ExitStack() as stack:
        yield Canary(stack)


def refusal(fetch: Fetch, url: str, **settings: object) -> str:
    """The code of the problem that ``url`` gives."""
    with pytest.raises(Problem) as caught:
        fetch(url, **settings)
    return caught.value.code


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_before_a_name_is_looked_up(
    url: str, canary: Canary, fetch: Fetch, connects: list[str]
) -> None:
    resolver = Resolver({}, default=["127.0.0.1"])
    url = url.replace("{port}", str(canary.port))
    assert refusal(fetch, url, resolver=resolver, port=canary.port) == "url_not_allowed"
    assert (resolver.asked, connects, canary.connections) == ([], [], 0)


@pytest.mark.parametrize("address", [*ADDRESSES, "fe80::1%lo", "2606:4700::1%1", "no address"])
def test_a_name_that_resolves_to_an_address_behind_the_firewall_is_not_connected_to(
    address: str, canary: Canary, fetch: Fetch, connects: list[str]
) -> None:
    url = f"http://images.example.org:{canary.port}/"
    resolver = Resolver({"images.example.org": [[address]]})
    assert refusal(fetch, url, resolver=resolver, port=canary.port) == "url_unreachable"
    assert (connects, canary.connections) == ([], 0)


# A header holds no line break, and loses the blanks at its ends.
IN_A_HEADER = [url for url in HOSTILE if url == url.strip() and not {"\r", "\n"} & set(url)]


@pytest.mark.parametrize("url", IN_A_HEADER)
def test_a_redirect_to_a_hostile_url_is_not_followed(
    url: str, canary: Canary, store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    resolver = Resolver({}, default=["127.0.0.1"])
    location = url.replace("{port}", str(canary.port)).encode()
    store.answers["/"] = reply(302, Location=location.decode("latin-1"))
    policy = {"allowed_ports": (80, 443, canary.port, store.port)}
    assert refusal(fetch, store.url(), resolver=resolver, **policy) in (
        "url_not_allowed",
        "url_unreachable",  # a path of the image store
    )
    assert (set(connects), resolver.asked, canary.connections) == ({STORE}, [], 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_name_behind_the_firewall_is_not_followed(
    status: int, canary: Canary, store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    location = f"http://intranet.example.org:{canary.port}/"
    store.answers["/"] = reply(status, Location=location)
    resolver = Resolver({}, default=["127.0.0.1"])
    policy = {"allowed_ports": (canary.port, store.port)}
    assert refusal(fetch, store.url(), resolver=resolver, **policy) == "url_unreachable"
    assert resolver.asked == ["intranet.example.org"]
    assert (connects, canary.connections) == ([STORE], 0)


def test_the_refusal_of_a_redirect_does_not_tell_where_to(store: LocalServer, fetch: Fetch) -> None:
    store.answers["/"] = reply(302, Location="http://10.1.2.3/secret")
    with pytest.raises(Problem, match=r"^The URL redirects to one that .* does not fetch\.$"):
        fetch(store.url(), port=store.port)


def test_a_name_is_not_looked_up_again_after_it_was_checked(
    fetch: Fetch, connects: list[str]
) -> None:
    """DNS rebinding: the first answer is public, all later ones are not."""
    resolver = Resolver({"images.example.org": [[PUBLIC], ["127.0.0.1"]]})
    assert refusal(fetch, "http://images.example.org/", resolver=resolver) == "url_unreachable"
    assert resolver.asked == ["images.example.org"]
    assert connects == [PUBLIC]


def test_the_connection_is_to_the_address_that_was_checked(
    store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    with local_server(port=store.port) as canary:
        store.answers["/"] = reply(200, b"an image")
        resolver = Resolver({"images.example.org": [[STORE], ["127.0.0.1"]]})
        url = f"http://images.example.org:{store.port}/"
        assert fetch(url, resolver=resolver, port=store.port) == b"an image"
        assert (connects, canary.connections) == ([STORE], 0)


def test_a_name_that_is_rebound_between_redirects_is_checked_anew(
    store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    with local_server(port=store.port) as canary:
        store.answers["/"] = reply(302, Location="/again", Connection="close")
        resolver = Resolver({"images.example.org": [[STORE], ["127.0.0.1"]]})
        url = f"http://images.example.org:{store.port}/"
        assert refusal(fetch, url, resolver=resolver, port=store.port) == "url_unreachable"
        assert len(resolver.asked) == 2
        assert (connects, canary.connections) == ([STORE], 0)


@pytest.mark.parametrize(
    "addresses",
    [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [*[PUBLIC] * MAX_ADDRESSES, "::1"]],
)
def test_a_name_with_one_private_address_among_public_ones_is_refused(
    addresses: Sequence[str], fetch: Fetch, connects: list[str]
) -> None:
    resolver = Resolver({"images.example.org": [addresses]})
    assert refusal(fetch, "http://images.example.org/", resolver=resolver) == "url_unreachable"
    assert connects == []


def test_what_is_forbidden_and_what_is_silent_cannot_be_told_apart(
    store: LocalServer, fetch: Fetch
) -> None:
    """Else the answers would reveal the network behind the service."""
    port = store.port
    resolver = Resolver(
        {"private.org": [["10.0.0.1"]], "closed.org": [[STORE]], "public.org": [[PUBLIC]]}
    )
    store.server_close()
    details = set()
    for host in ("private.org", "closed.org", "public.org", "unknown.org"):
        with pytest.raises(Problem) as caught:
            fetch(f"http://{host}:{port}/", resolver=resolver, port=port)
        details.add((caught.value.code, caught.value.detail))
    assert len(details) == 1


def test_the_systems_resolver_is_checked_like_any_other(
    canary: Canary, fetch: Fetch, connects: list[str]
) -> None:
    url = f"http://localhost:{canary.port}/"
    assert refusal(fetch, url, resolver=resolve, port=canary.port) == "url_unreachable"
    assert (connects, canary.connections) == ([], 0)


def test_an_exempt_network_frees_only_its_own_addresses(
    canary: Canary, fetch: Fetch, connects: list[str]
) -> None:
    policy = {"allowed_networks": (ip_network("127.0.0.2/31"),), "port": canary.port}
    url = f"http://127.0.0.1:{canary.port}/"
    assert refusal(fetch, url, **policy) == "url_not_allowed"
    assert connects == []
