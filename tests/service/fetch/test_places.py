"""How many fetches go on at once, and what is left of those that are given up."""

import asyncio
import socket
import ssl
import threading
from ipaddress import ip_network

import pytest

from service.engine.admission import Admission
from service.fetch.fetcher import MAX_CONNECTIONS, MAX_CONNECTIONS_IN_ALL, UrlFetcher
from service.fetch.policy import FetchPolicy
from service.problems import Problem
from tests.service.fetch.conftest import STORE
from tests.service.fetch.servers import LocalServer, Resolver, raw, reply

OK = b"HTTP/1.1 200 OK\r\n"


async def count_at_once(fetcher: UrlFetcher, server: LocalServer) -> int:
    """The number of concurrent connections of many fetches to a silent server."""
    server.answers["/silent"] = raw(b"", pause=5)
    urls = [server.url("/silent")] * MAX_CONNECTIONS * 2
    tasks = [asyncio.create_task(fetcher.fetch(url)) for url in urls]
    for _ in range(500):
        if sum(path == "/silent" for path, _ in server.requests) >= MAX_CONNECTIONS:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # for one too many
    count = sum(path == "/silent" for path, _ in server.requests)
    await give_up(tasks)
    return count


async def give_up(tasks: list[asyncio.Task[bytes]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_fetches_that_fail_or_are_given_up_leave_their_places(
    store: LocalServer, no_trust: ssl.SSLContext
) -> None:
    """The critical case: a fetch is cancelled when it has just got a place."""
    store.answers["/endless"] = raw(OK + b"\r\n", bytes(1000), forever=True)
    store.answers["/"] = reply(200, b"an image")
    policy = FetchPolicy((STORE,), 10_000, 10, 3, (store.port,), (ip_network(f"{STORE}/32"),))

    async def scenario() -> None:
        fetcher = UrlFetcher(policy, Resolver({}), no_trust)
        for path in ("/", "/endless", "/missing") * 2:
            urls = [store.url(path)] * MAX_CONNECTIONS * 2
            tasks = [asyncio.create_task(fetcher.fetch(url)) for url in urls]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await give_up(tasks)
        assert await count_at_once(fetcher, store) == MAX_CONNECTIONS

    asyncio.run(scenario())


def test_one_callers_slow_urls_leave_places_for_the_others(
    store: LocalServer, no_trust: ssl.SSLContext
) -> None:
    store.answers["/silent"] = raw(b"", pause=5)
    store.answers["/"] = reply(200, b"an image")
    policy = FetchPolicy((STORE,), 10_000, 10, 3, (store.port,), (ip_network(f"{STORE}/32"),))

    async def scenario() -> None:
        fetcher = UrlFetcher(policy, Resolver({}), no_trust)
        slow = [
            asyncio.create_task(fetcher.fetch(store.url("/silent"), "slow"))
            for _ in range(MAX_CONNECTIONS_IN_ALL)
        ]
        while len(store.requests) < MAX_CONNECTIONS:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            assert await fetcher.fetch(store.url(), "another") == b"an image"
        assert len(store.requests) == MAX_CONNECTIONS + 1
        await give_up(slow)
        del slow
        await asyncio.sleep(0.1)
        assert not fetcher._places_of, "nothing is kept of callers who have gone"
        assert not fetcher._running

    asyncio.run(scenario())


def test_a_look_up_that_is_given_up_keeps_its_place_until_its_thread_ends(
    no_trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, gate = set(), [0], threading.Event()

    def look_up(host: str, *args: object, **options: object) -> list:
        running.add(threading.get_ident())
        most[0] = max(most[0], len(running))
        gate.wait(10)
        running.discard(threading.get_ident())
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    policy = FetchPolicy(("*",), 1000, 5)

    async def scenario() -> None:
        fetcher = UrlFetcher(policy, ssl_context=no_trust)
        for _ in range(3):
            tasks = [
                asyncio.create_task(fetcher.fetch("http://example.org/"))
                for _ in range(MAX_CONNECTIONS)
            ]
            await asyncio.sleep(0.1)
            await give_up(tasks)
        assert most == [MAX_CONNECTIONS]
        gate.set()
        with pytest.raises(Problem):
            await fetcher.fetch("http://example.org/")

    try:
        asyncio.run(scenario())
    finally:
        gate.set()


def test_what_comes_is_counted_until_it_is_here(
    store: LocalServer, no_trust: ssl.SSLContext
) -> None:
    store.answers["/"] = reply(200, bytes(900))
    policy = FetchPolicy((STORE,), 1000, 5, 3, (store.port,), (ip_network(f"{STORE}/32"),))
    admission = Admission(max_images=1, max_bytes=1000, max_decoding=1)

    async def scenario() -> None:
        fetcher = UrlFetcher(policy, Resolver({}), no_trust, admission.hold_bytes)
        assert len(await fetcher.fetch(store.url())) == 900
        assert admission.bytes == 0
        with admission.hold_bytes() as room:
            room.add(200)
            with pytest.raises(Problem, match="at most 1000") as caught:
                await fetcher.fetch(store.url())
            assert (caught.value.code, admission.bytes) == ("overloaded", 200)

    asyncio.run(scenario())


def test_a_fetch_that_is_given_up_closes_its_connection(
    store: LocalServer, no_trust: ssl.SSLContext
) -> None:
    gone = []

    def patient(handler) -> None:
        gone.append(handler.rfile.read(1))

    store.answers["/"] = patient
    policy = FetchPolicy(("*",), 1000, 5, 3, (store.port,), (ip_network(f"{STORE}/32"),))

    async def scenario() -> None:
        fetcher = UrlFetcher(policy, Resolver({}), no_trust)
        task = asyncio.create_task(fetcher.fetch(store.url()))
        while not store.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(200):
            if gone:
                break
            await asyncio.sleep(0.01)
        assert gone == [b""]

    asyncio.run(scenario())
