"""A refusal is read by whoever sends on; what is sent in vain ends, and leaves nothing."""

import contextlib
import gc
import socket
import time
import weakref
from asyncio import BaseTransport
from collections.abc import Callable, Iterator

import pytest

from service.http import transport
from service.http.connection import HttpProtocol
from tests.e2e.server import eventually
from tests.service.http.raw import LIMITS, Client, head

SENT = bytes(16 * 2**20)  # more than the system takes of a client that is not read from
LENGTH = f"Content-Length: {len(SENT)}"
CHUNKED = head("Transfer-Encoding: chunked")
REFUSED = {
    "the connection stays": (head(LENGTH, path="/refused"), 401),
    "the client wants it closed": (head(LENGTH, "Connection: close", path="/refused"), 401),
    "HTTP/1.0": (head(LENGTH, path="/refused").replace(b"HTTP/1.1", b"HTTP/1.0"), 401),
    "large head": (head(f"X-A: {'a' * LIMITS.max_head_bytes}", LENGTH), 431),
    "head without an end": (b"POST / HTTP/1.1\r\nX-A: " + b"a" * 300_000, 431),
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "no chunk": (CHUNKED + b"nonsense\r\n", 400),
    "trailers": (CHUNKED + b"0\r\n" + b"X-A: b\r\n" * LIMITS.max_head_bytes, 431),
}


@pytest.mark.parametrize(("begin", "status"), REFUSED.values(), ids=REFUSED)
def test_a_client_that_sends_all_before_it_reads_is_told(
    open_client: Callable[[], Client], begin: bytes, status: int
) -> None:
    client = open_client()
    client.send(begin + SENT)
    assert client.reply()[0] == status


def test_what_is_not_http_is_not_logged(
    open_client: Callable[[], Client], caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger could fill the log."""
    client = open_client()
    client.send(b"nonsense\r\n\r\n")
    assert client.problem() == (400, "malformed_body")
    assert caplog.records == []


def test_so_is_one_connection_too_many(open_client: Callable[[], Client]) -> None:
    others = [open_client() for _ in range(LIMITS.max_address_connections or 0)]
    client = open_client()
    client.send(head(LENGTH) + SENT)
    assert client.problem() == (503, "overloaded")
    assert len(others) == LIMITS.max_address_connections


@pytest.mark.parametrize("fields", [(), ("Connection: close",)], ids=["stays", "closed"])
def test_so_is_one_that_takes_long(
    open_client: Callable[[], Client], fields: tuple[str, ...]
) -> None:
    """For longer than a body's rate is measured over."""
    client = open_client()
    client.send(head("Content-Length: 10000", *fields, path="/refused"))
    for _ in range(10):
        client.send(bytes(1000))
        time.sleep(0.15)
    assert client.reply() == (401, b"no")


def test_the_next_request_is_answered_after_a_body_that_was_refused(
    open_client: Callable[[], Client],
) -> None:
    client = open_client()
    for _ in range(2):
        client.send(head(LENGTH, path="/refused") + SENT)
        assert client.reply() == (401, b"no")
    client.send(head("Content-Length: 2") + b"ab")
    assert client.reply() == (200, b"2")


@pytest.mark.parametrize("fields", [(), ("Connection: close",)], ids=["stays", "closed"])
def test_a_body_after_its_refusal_is_not_taken_for_ever(
    open_client: Callable[[], Client], fields: tuple[str, ...]
) -> None:
    client = open_client()
    client.send(head("Content-Length: 1000000000", *fields, path="/refused"))
    assert client.reply()[0] == 401
    client.socket.settimeout(0.2)
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            client.send(b"a" * 100_000)
            time.sleep(0.05)
        pytest.fail("it is taken still")


@pytest.mark.parametrize("sent", [0, 10, 1000], ids=["none", "a part", "all"])
def test_who_is_silent_after_a_refusal_is_closed(
    open_client: Callable[[], Client], sent: int
) -> None:
    client = open_client()
    client.send(head("Content-Length: 1000", path="/refused"))
    assert client.reply()[0] == 401
    client.send(bytes(sent))
    assert client.is_closed()


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> Iterator["weakref.WeakSet[HttpProtocol]"]:
    """Those of connections that are made, and that something holds; there is no collector."""
    made: weakref.WeakSet[HttpProtocol] = weakref.WeakSet()
    connection_made = HttpProtocol.connection_made

    def note(self: HttpProtocol, one: BaseTransport) -> None:
        made.add(self)
        connection_made(self, one)

    monkeypatch.setattr(HttpProtocol, "connection_made", note)
    gc.collect()
    gc.disable()
    yield made
    gc.enable()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        head()[:20],
        head("Content-Length: 2") + b"ab",
        head("Content-Length: 2", path="/refused") + b"ab",
        head("Content-Length: 100", path="/refused"),
        head("Content-Length: 100"),
        head(f"X-A: {'a' * LIMITS.max_head_bytes}"),
        b"nonsense\r\n\r\n",
        head("Content-Length: 0", path="/long") * 5,
    ],
    ids=[
        *("silent", "half a head", "answered", "refused", "not sent", "half", "large", "no HTTP"),
        "many at once",
    ],
)
def test_a_connection_that_is_over_leaves_nothing(
    open_client: Callable[[], Client], protocols: "weakref.WeakSet[HttpProtocol]", sent: bytes
) -> None:
    client = open_client()
    client.send(sent)
    eventually(lambda: protocols, "it is made")
    time.sleep(0.1)
    client.socket.close()
    eventually(lambda: not protocols, "it is freed")


def test_an_idle_connection_keeps_nothing_of_what_it_sent(
    open_client: Callable[[], Client], protocols: "weakref.WeakSet[HttpProtocol]"
) -> None:
    client = open_client()
    client.send(head("Content-Length: 300000") + bytes(300_000))
    assert client.reply() == (200, b"300000")
    (protocol,) = protocols
    assert protocol._unread == b""
    assert not isinstance(protocol._unread, memoryview)


def test_little_of_a_reply_waits_in_the_system_for_its_client(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    made = HttpProtocol.connection_made

    def connection_made(self: HttpProtocol, made_of: BaseTransport) -> None:
        made(self, made_of)
        own = made_of.get_extra_info("socket")
        sizes.append(own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))

    monkeypatch.setattr(HttpProtocol, "connection_made", connection_made)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(100)
    assert sizes[0] in (transport.SEND_BUFFER_BYTES, 2 * transport.SEND_BUFFER_BYTES)
