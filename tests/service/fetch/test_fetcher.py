"""The content of a URL, and the limits of size and time."""

import asyncio
import gzip
import socket
import ssl
import time
from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from service.fetch.fetcher import UrlFetcher
from service.fetch.policy import FetchPolicy
from service.problems import Problem
from tests.service.fetch.conftest import STORE, Fetch
from tests.service.fetch.servers import Answer, LocalServer, Resolver, local_server, raw, reply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"10000\r\n" + bytes(65536) + b"\r\n"


def problem_of(fetch: Fetch, server: LocalServer, answer: Answer, **settings: object) -> Problem:
    """The problem that ``answer`` causes."""
    server.answers["/"] = answer
    with pytest.raises(Problem) as caught:
        fetch(server.url(), port=server.port, **settings)
    return caught.value


def test_the_bytes_come_as_they_are(store: LocalServer, fetch: Fetch) -> None:
    content = bytes(range(256)) * 390
    store.answers["/cat.jpg?size=2"] = reply(200, content, Content_Type="text/html")
    assert fetch(store.url("/cat.jpg?size=2#left"), port=store.port) == content


def test_a_host_is_asked_by_its_name_and_told_nothing_else(
    store: LocalServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        store.answers["/"] = reply(302, Location="/image", Set_Cookie="session=1; Path=/")
        store.answers["/image"] = reply(200, b"an image")
        url = f"http://Images.Example.org:{store.port}"
        resolver = Resolver({"images.example.org": [[STORE]]})
        assert fetch(url, resolver=resolver, port=store.port) == b"an image"
        assert proxy.connections == 0
    headers = [
        ("Host", f"images.example.org:{store.port}"),
        ("User-Agent", "Boxport"),
        ("Accept", "image/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    assert store.requests == [("/", headers), ("/image", headers)]


def test_a_second_address_is_tried_where_the_first_refuses(
    store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    store.answers["/"] = reply(200, b"an image")
    resolver = Resolver({"images.example.org": [["127.0.0.3", STORE]]})
    content = fetch(
        f"http://images.example.org:{store.port}/",
        resolver=resolver,
        port=store.port,
        allowed_networks=(ip_network("127.0.0.2/31"),),
    )
    assert (content, connects) == (b"an image", ["127.0.0.3", STORE])


def test_a_silent_address_leaves_time_for_the_next(
    store: LocalServer, fetch: Fetch, connects: list[str]
) -> None:
    store.answers["/"] = reply(200, b"an image")
    with socket.create_server(("127.0.0.3", store.port), backlog=0), ExitStack() as callers:
        for _ in range(3):  # who fill the queue, so that the next gets no answer
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.3", store.port))
        content = fetch(
            f"http://images.example.org:{store.port}/",
            resolver=Resolver({"images.example.org": [["127.0.0.3", STORE]]}),
            port=store.port,
            allowed_networks=(ip_network("127.0.0.2/31"),),
            timeout=1.5,
        )
    assert (content, connects) == (b"an image", ["127.0.0.3", STORE])


def test_the_systems_resolver_is_the_default(connects: list[str], no_trust: ssl.SSLContext) -> None:
    with local_server() as server:
        server.answers["/"] = reply(200, b"an image")
        networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
        policy = FetchPolicy(("localhost",), 1000, 5, 3, (server.port,), networks)

        async def scenario() -> bytes:
            fetcher = UrlFetcher(policy, ssl_context=no_trust)
            return await fetcher.fetch(f"http://localhost:{server.port}/")

        assert asyncio.run(scenario()) == b"an image"
    assert connects[-1] == "127.0.0.1"


def test_only_a_few_addresses_of_a_name_are_tried(fetch: Fetch, connects: list[str]) -> None:
    addresses = [f"93.184.215.{n}" for n in range(1, 200)]
    with pytest.raises(Problem):
        fetch("http://example.org/", resolver=Resolver({"example.org": [addresses]}))
    assert connects == addresses[:3]


def test_as_many_redirects_are_followed_as_the_policy_allows(
    store: LocalServer, fetch: Fetch
) -> None:
    store.answers["/0"] = reply(200, b"an image")
    for n in range(1, 5):
        store.answers[f"/{n}"] = reply(302, b"moved", Location=f"{n - 1}")
    assert fetch(store.url("/3"), port=store.port) == b"an image"
    with pytest.raises(Problem, match="redirects more than 3 times") as caught:
        fetch(store.url("/4"), port=store.port)
    assert caught.value.code == "url_unreachable"
    assert [path for path, _ in store.requests] == ["/3", "/2", "/1", "/0", "/4", "/3", "/2", "/1"]


def test_a_redirect_in_a_circle_ends(store: LocalServer, fetch: Fetch) -> None:
    assert problem_of(fetch, store, reply(301, Location="/")).code == "url_unreachable"
    assert len(store.requests) == 4


def test_a_redirect_leaves_neither_the_hosts_nor_the_ports(
    store: LocalServer, fetch: Fetch
) -> None:
    policy = {"allowed_hosts": (STORE,)}
    for location in (f"http://127.0.0.3:{store.port}/", f"http://{STORE}:{store.port + 1}/"):
        problem = problem_of(fetch, store, reply(302, Location=location), **policy)
        assert problem.code == "url_not_allowed"


@pytest.mark.parametrize("headers", [{}, {"Location": ""}, {"Location": "/a\t/b"}])
def test_a_redirect_to_nowhere_is_refused(
    headers: dict[str, str], store: LocalServer, fetch: Fetch
) -> None:
    store.answers["/a/b"] = reply(200, b"what `urljoin` makes of it")
    assert problem_of(fetch, store, reply(302, **headers)).code == "url_not_allowed"


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 401, 403, 404, 500, 503])
def test_a_status_other_than_200_is_named(status: int, store: LocalServer, fetch: Fetch) -> None:
    problem = problem_of(fetch, store, reply(status))
    assert problem.code == "url_unreachable"
    assert f"status {status}," in problem.detail


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(200, bytes(1001)), id="stated"),
        pytest.param(raw(OK, b"Content-Length: 999999999999\r\n\r\n"), id="stated, never sent"),
        pytest.param(raw(OK + b"\r\n", bytes(1001)), id="until the connection closes"),
        pytest.param(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK), id="in chunks"),
    ],
)
def test_more_bytes_than_the_policy_allows_are_refused(
    answer: Answer, store: LocalServer, fetch: Fetch
) -> None:
    problem = problem_of(fetch, store, answer, max_bytes=1000)
    assert (problem.code, problem.detail) == (
        "url_too_large",
        "The URL gives more than 1000 bytes.",
    )


def test_as_many_bytes_as_the_policy_allows_are_taken(store: LocalServer, fetch: Fetch) -> None:
    store.answers["/"] = raw(OK + b"\r\n", bytes(600), bytes(400), pause=0.01)
    assert fetch(store.url(), port=store.port, max_bytes=1000) == bytes(1000)


def test_an_endless_body_is_left_at_the_limit(store: LocalServer, fetch: Fetch) -> None:
    sent = []

    def endless(handler) -> None:
        handler.wfile.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            sent.append(handler.wfile.write(CHUNK))

    assert problem_of(fetch, store, endless).code == "url_too_large"
    assert sum(sent) < 20e6  # what the buffers of the system hold


def test_compressed_content_is_refused(store: LocalServer, fetch: Fetch) -> None:
    bomb = gzip.compress(bytes(50_000_000), 9)
    assert len(bomb) < 100_000
    for encoding in ("gzip", "GZIP", "br", "deflate, gzip", "identity, gzip"):
        problem = problem_of(fetch, store, reply(200, bomb, Content_Encoding=encoding))
        assert (problem.code, "compressed" in problem.detail) == ("url_unreachable", True)


def test_nothing_is_decompressed(store: LocalServer, fetch: Fetch) -> None:
    bomb = gzip.compress(bytes(50_000_000), 9)
    store.answers["/"] = reply(200, bomb, Content_Type="application/gzip")
    assert fetch(store.url(), port=store.port) == bomb
    store.answers["/"] = reply(200, bomb, Content_Encoding="identity")
    assert fetch(store.url(), port=store.port) == bomb


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(b""), id="nothing"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.6\r\n"), id="another protocol"),
        pytest.param(raw(OK + b"Content-Length: 10\r\n\r\n", b"short"), id="cut short"),
        pytest.param(raw(OK + b"Content-Length: -1\r\n\r\n"), id="negative length"),
        pytest.param(
            raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), id="two lengths"
        ),
        pytest.param(raw(OK + b"Transfer-Encoding: gzip\r\n\r\n"), id="compressed in transfer"),
        pytest.param(raw(OK, b"X: " + bytes(100) + b"\r\n\r\n"), id="zeros in a header"),
        pytest.param(raw(OK, b"X: y\r\n" * 1000, forever=True), id="endless headers"),
        pytest.param(
            raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"a" * 10_000, forever=True),
            id="endless extension of a chunk",
        ),
    ],
)
def test_what_is_not_http_is_unreachable(answer: Answer, store: LocalServer, fetch: Fetch) -> None:
    problem = problem_of(fetch, store, answer)
    assert (problem.code, problem.kind.status) == ("url_unreachable", 422)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(b"", pause=3), id="silence"),
        pytest.param(raw(OK, b"X: y\r\n", pause=0.05, forever=True), id="slow headers"),
        pytest.param(raw(OK + b"\r\n", b".", pause=0.05, forever=True), id="slow body"),
        pytest.param(
            raw(b"HTTP/1.1 102 Processing\r\n\r\n", pause=0.01, forever=True), id="never final"
        ),
        pytest.param(
            lambda handler: (time.sleep(0.25), reply(302, Location="/")(handler)),
            id="slow redirects",
        ),
    ],
)
def test_the_time_of_the_whole_is_bounded(answer: Answer, store: LocalServer, fetch: Fetch) -> None:
    start = time.monotonic()
    problem = problem_of(fetch, store, answer, timeout=0.6)
    assert 0.5 < time.monotonic() - start < 20
    assert problem.code == "url_unreachable"
    assert problem.detail.startswith("No image came within 0.6 s")


def test_a_slow_look_up_counts(fetch: Fetch) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return ["93.184.215.14"]

    start = time.monotonic()
    with pytest.raises(Problem, match=r"within 0\.3 s"):
        fetch("http://example.org/", resolver=resolver, timeout=0.3)
    assert time.monotonic() - start < 20
