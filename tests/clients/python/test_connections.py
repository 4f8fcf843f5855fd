"""Whose connections are used: each process and each event loop has its own."""

import asyncio
import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from boxport_client import ApiError, AsyncClient, BoxportError, Client, ClientClosed
from boxport_client._replies import new_request_id

from tests.clients.python.scripted import MODEL, ScriptedServer, answers, waits

CHILDREN = 3

OTHER = new_request_id()  # of another client's request


def detect(client: Client | AsyncClient, photo: bytes) -> int:
    """The width in the answer, from an event loop of its own if the client needs one."""
    if isinstance(client, Client):
        return client.detect(photo).width
    return asyncio.run(_detect(client, photo))


def close(*clients: Client | AsyncClient) -> None:
    for client in clients:
        if isinstance(client, Client):
            client.close()  # an event loop that has ended has closed those of an AsyncClient


async def _detect(client: AsyncClient, photo: bytes) -> int:
    return (await client.detect(photo)).width


def echoes(handler) -> None:
    """Answers after a moment with the width that the photo's bytes tell."""
    waits(0.05, answers(width=int(handler.body)))(handler)


def in_forked_processes(work: Callable[[int], object]) -> list[object]:
    """What ``work`` gives in each of several processes that are forked from this one."""
    context = multiprocessing.get_context("fork")
    given = context.SimpleQueue()
    children = [
        context.Process(target=lambda number=number: given.put((number, work(number))))
        for number in range(CHILDREN)
    ]
    for child in children:
        child.start()
    found = dict(given.get() for _ in children)
    for child in children:
        child.join()
    return [found[number] for number in range(CHILDREN)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_forked_processes_have_connections_of_their_own(kind, scripted: ScriptedServer) -> None:
    peers = []

    def note(handler) -> None:
        peers.append(handler.client_address)
        echoes(handler)

    scripted.then = note
    client = kind(scripted.url, retries=0)
    assert detect(client, b"7") == 7
    widths = in_forked_processes(lambda number: detect(client, str(100 + number).encode()))
    close(client)
    assert widths == [100, 101, 102]
    assert len(set(peers)) == 1 + CHILDREN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_closes_only_its_own(scripted: ScriptedServer) -> None:
    peers = []

    def note(handler) -> None:
        peers.append(handler.client_address)
        answers()(handler)

    def close_in_child(number: int) -> None:
        client.detect(b"photo")
        client.close()

    scripted.then = note
    with Client(scripted.url, retries=0) as client:
        client.detect(b"photo")
        in_forked_processes(close_in_child)
        client.detect(b"photo")
    assert peers[0] == peers[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_sends(scripted: ScriptedServer) -> None:
    scripted.then = echoes
    stop = threading.Event()
    with Client(scripted.url, retries=0) as client:

        def send() -> None:
            while not stop.is_set():
                assert client.detect(b"1").width == 1

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            widths = in_forked_processes(lambda number: client.detect(b"2").width)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert widths == [2] * CHILDREN


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_is_pickled_without_its_connections(kind, scripted: ScriptedServer) -> None:
    """As for multiprocessing's spawn and forkserver, and the workers of PyTorch's DataLoader."""
    client = kind(scripted.url, api_key="k", timeout=7.0, priority="bulk")
    detect(client, b"photo")
    copy = pickle.loads(pickle.dumps(client))
    assert detect(copy, b"photo") == 100
    close(client, copy)
    first, second = (asked.headers for asked in scripted.asked)
    assert second["authorization"] == "Bearer k"
    assert second["x-request-priority"] == "bulk"
    assert first["x-request-id"] != second["x-request-id"]
    assert int(second["x-request-timeout-ms"]) <= 7000


def of_request(in_body: str, in_header: str | None) -> Callable:
    def deed(handler) -> None:
        content = {"model": MODEL, "request_id": in_body, "timing_ms": {}}
        image = {"width": 4, "height": 3, "detections": []}
        headers = {} if in_header is None else {"X_Request_ID": in_header}
        handler.reply(200, json.dumps({**content, "results": [image]}).encode(), **headers)

    return deed


@pytest.mark.parametrize(
    ("in_body", "in_header"),
    [("a-client-of-old", None), (OTHER, OTHER), (OTHER, None), ("one", "another")],
    ids=["no client's", "in both", "in one", "different"],
)
def test_the_answer_to_another_request_is_refused(
    make_client, scripted: ScriptedServer, in_body: str, in_header: str | None
) -> None:
    scripted.then = of_request(in_body, in_header)
    with pytest.raises(ApiError, match=f"that of another request, {in_body}") as caught:
        make_client(scripted.url).detect(b"photo")
    assert (caught.value.code, caught.value.retryable) == ("unknown", False)
    assert len(scripted.asked) == 1


def test_the_refusal_of_another_request_is_none_of_this_one(
    make_client, scripted: ScriptedServer
) -> None:
    problem = {"code": "invalid_image", "detail": "No.", "retryable": False}
    other = {**problem, "request_id": new_request_id()}
    scripted.then = lambda handler: handler.reply(422, json.dumps(other).encode())
    with pytest.raises(ApiError, match="422 unknown: the reply is that of another request"):
        make_client(scripted.url).detect(b"photo")


@pytest.mark.parametrize(
    "renamed", ["b1946ac92492d2347c6235b4d2611184", "5f0d1c1e-7a55-4f8e-9d7c-2a1a3c1f5c11"]
)
def test_proxies_may_give_requests_ids_of_their_own(
    make_client, scripted: ScriptedServer, renamed: str
) -> None:
    scripted.then = of_request(renamed, renamed)
    assert make_client(scripted.url).detect(b"photo").request_id == renamed


def test_one_client_on_several_event_loops(scripted: ScriptedServer) -> None:
    scripted.then = echoes
    client = AsyncClient(scripted.url, retries=0)
    assert [detect(client, str(number).encode()) for number in (1, 2, 3)] == [1, 2, 3]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(detect(client, b"4"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4, 4, 4]

    async def several() -> list[bool]:
        return [outcome.ok async for outcome in client.detect_many([b"5"] * 3)]

    assert asyncio.run(several()) == [True] * 3
    asyncio.run(client.close())
    with pytest.raises(ClientClosed, match="the client is closed"):
        detect(client, b"6")
    assert issubclass(ClientClosed, BoxportError)


def test_a_loop_that_ends_closes_its_connections(scripted: ScriptedServer) -> None:
    ended = threading.Event()

    def note(handler) -> None:
        answers()(handler)
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.settimeout(5)
        if handler.connection.recv(1) == b"":
            ended.set()

    scripted.then = note
    client = AsyncClient(scripted.url)
    detect(client, b"photo")
    assert ended.wait(5)


def test_a_loop_that_is_closed_by_hand(scripted: ScriptedServer) -> None:
    client = AsyncClient(scripted.url, retries=0)
    for _ in range(2):
        with closing(asyncio.new_event_loop()) as loop:
            assert loop.run_until_complete(_detect(client, b"photo")) == 100
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())


def test_many_photos_through_a_closed_client_are_one_error(scripted: ScriptedServer) -> None:
    """Not one for each photo: none can do better."""
    client = Client(scripted.url)
    client.close()
    with pytest.raises(ClientClosed, match="make another"):
        list(client.detect_many([b"1", b"2"]))
