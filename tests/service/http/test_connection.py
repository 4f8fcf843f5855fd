"""What a client may take of a connection's memory and time, over a real server's sockets."""

import contextlib
import dataclasses
import select
import socket
import threading
import time
from collections.abc import Callable

import pytest

from service.http import connection
from service.http.connection import HttpProtocol
from service.http.limits import ConnectionLimits
from service.settings import Settings
from tests.service.http.raw import LIMITS, REPLY, Client, head


def test_the_defaults_are_the_settings() -> None:
    assert ConnectionLimits.of(Settings()) == ConnectionLimits()


@pytest.mark.parametrize(
    "sent",
    [
        head("Content-Length: 10") + b"12345",
        head("Content-Length: 10"),
        head("Transfer-Encoding: chunked") + b"5\r\n12345\r\n",
        head("Transfer-Encoding: chunked") + b"5\r\n123",
    ],
    ids=["cut", "nothing", "without its last chunk", "cut in a chunk"],
)
def test_a_body_that_ends_early_is_told_so(open_client: Callable[[], Client], sent: bytes) -> None:
    client = open_client()
    client.send(sent)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.problem() == (400, "malformed_body")
    assert client.is_closed()


def test_an_idle_connection_is_kept_as_long_as_the_settings_say(
    open_client: Callable[[], Client],
) -> None:
    """Not for uvicorn's five seconds, which are fewer than any proxy's."""
    client = open_client()
    client.send(head("Content-Length: 0"))
    assert client.reply()[0] == 200
    answered = time.monotonic()
    assert client.is_closed()
    assert 0.25 < time.monotonic() - answered < 4.5
    assert Settings().keep_alive_timeout_ms > 65_000


@pytest.mark.parametrize(
    "large",
    [
        pytest.param(head("Content-Length: 0", f"X-A: {'a' * 5000}"), id="one header"),
        pytest.param(head(*(f"X-{n}: {n}" for n in range(500))), id="many headers"),
        pytest.param(head(path="/" + "a" * 5000), id="path"),
        pytest.param(head()[:-2] + b"X-A: " + b"a" * 300_000, id="without an end"),
        pytest.param(head()[:-2] + b"a:\r\n" * 300, id="many small headers, without an end"),
    ],
)
def test_a_large_head_is_refused_while_it_arrives(
    open_client: Callable[[], Client], large: bytes
) -> None:
    client = open_client()
    client.send(large)
    assert client.problem() == (431, "head_too_large")
    assert client.is_closed()


@pytest.mark.parametrize(
    "rest",
    [b"0\r\n" + b"X-A: b\r\n" * 1000, b"0\r\n" + b"a:\r\n" * 300, b"1;" + b"a" * 100_000],
    ids=["trailers", "small trailers", "extension"],
)
def test_what_is_no_body_is_counted_like_a_head(
    open_client: Callable[[], Client], rest: bytes
) -> None:
    client = open_client()
    client.send(head("Transfer-Encoding: chunked"))
    time.sleep(0.1)  # it is read by itself
    client.send(rest)
    assert client.problem() == (431, "head_too_large")


def test_a_head_up_to_the_limit_is_read(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Content-Length: 2", f"X-A: {'a' * 3500}") + b"ab")
    assert client.reply() == (200, b"2")


def test_a_body_in_chunks_of_a_byte_is_no_head(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Transfer-Encoding: chunked") + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n")
    assert client.reply() == (200, b"5000")


@pytest.mark.parametrize("first", [b"", head("Content-Length: 0")], ids=["first", "second"])
def test_half_a_head_is_waited_for_no_longer_than_told(
    open_client: Callable[[], Client], first: bytes
) -> None:
    client = open_client()
    if first:
        client.send(first)
        assert client.reply() == (200, b"0")
    client.send(head()[:20])
    assert client.problem() == (408, "request_too_slow")
    assert client.is_closed()


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_a_silent_connection_is_closed(open_client: Callable[[], Client], sent: bytes) -> None:
    client = open_client()
    client.send(sent)
    began = time.monotonic()
    client.is_closed()
    assert time.monotonic() - began < 5


def test_a_head_in_drips_is_late_all_the_same(open_client: Callable[[], Client]) -> None:
    client, began = open_client(), time.monotonic()
    with contextlib.suppress(ConnectionError):
        for byte in head(f"X-A: {'a' * 500}"):
            client.send(bytes([byte]))
            if select.select([client.socket], [], [], 0.02)[0]:
                break
    assert client.problem() == (408, "request_too_slow")
    assert time.monotonic() - began < 5


def test_a_body_that_stops_is_refused(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Content-Length: 100000") + b"a" * 400)
    assert client.problem() == (408, "request_too_slow")


def test_a_body_at_the_least_rate_is_read(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Content-Length: 3000"))
    for _ in range(15):
        client.send(b"a" * 200)
        time.sleep(0.1)
    assert client.reply() == (200, b"3000")


def test_a_reply_that_nobody_reads_is_given_up(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Content-Length: 0", path="/long"))
    time.sleep(1.5)
    received = 0
    with contextlib.suppress(ConnectionError):
        while data := client.socket.recv(2**20):
            received += len(data)
    assert received < len(REPLY)


def test_a_slow_reader_is_waited_for(open_client: Callable[[], Client]) -> None:
    client = open_client()
    client.send(head("Content-Length: 0", path="/long"))
    received = 0
    while received < len(REPLY) and (data := client.socket.recv(2**19)):
        received += len(data)
        time.sleep(0.01)
    assert received >= len(REPLY)


def test_connections_beyond_those_of_an_address_are_refused(
    open_client: Callable[[], Client],
) -> None:
    clients = [open_client() for _ in range(30)]
    assert [client.problem() for client in clients[20:]] == [(503, "overloaded")] * 10
    for client in clients[:20]:
        client.send(head("Content-Length: 0"))
        assert client.reply() == (200, b"0")
        client.socket.close()
    time.sleep(0.2)
    client = open_client()
    client.send(head("Content-Length: 0"))
    assert client.reply() == (200, b"0")


def test_connections_beyond_the_most_are_refused(
    open_client: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their addresses are."""
    few = dataclasses.replace(LIMITS, max_connections=5, max_address_connections=None)
    monkeypatch.setattr(HttpProtocol, "limits", few)
    clients = [open_client() for _ in range(8)]
    assert [client.problem() for client in clients[5:]] == [(503, "overloaded")] * 3
    for client in clients[:5]:
        client.send(head("Content-Length: 0"))
        assert client.reply() == (200, b"0")


def test_requests_that_come_at_once_are_read_in_turns_and_all_answered(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, unread, count = [], [], 3000
    complete, read_on = HttpProtocol.on_message_complete, HttpProtocol._read_on

    def on_message_complete(self: HttpProtocol) -> None:
        complete(self)
        waiting.append(len(self.pipeline))

    def note_unread(self: HttpProtocol) -> None:
        unread.append(len(self._unread))
        read_on(self)

    monkeypatch.setattr(HttpProtocol, "on_message_complete", on_message_complete)
    monkeypatch.setattr(HttpProtocol, "_read_on", note_unread)
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: %b\r\n\r\n" % (b"x" * 350)
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        threading.Thread(target=one.sendall, args=(request * (count - 1) + last,)).start()
        replies = b"".join(iter(lambda: one.recv(65536), b""))
    assert replies.count(b"HTTP/1.1 200 OK") == count == len(waiting)
    assert max(waiting) <= connection.MAX_PIPELINED + connection.PIECE_BYTES // len(request) + 1
    assert max(unread) <= 2**18, "of more than a megabyte that was sent: as much as is read at once"


def test_chunks_of_a_byte_leave_others_a_turn(
    open_client: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, read_on = [], HttpProtocol._read_on

    def note(self: HttpProtocol) -> None:
        before = self._parts
        read_on(self)
        parts.append(self._parts - before)

    monkeypatch.setattr(HttpProtocol, "_read_on", note)
    client = open_client()
    client.send(head("Transfer-Encoding: chunked") + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
    assert client.reply() == (200, b"50000")
    assert sum(parts) == 50_000
    assert max(parts) <= connection.MAX_PARTS + connection.PIECE_BYTES // len(b"1\r\na\r\n") + 1


def test_chunks_of_a_body_that_was_refused_are_not_looked_at(
    open_client: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, on_body = [], HttpProtocol.on_body
    monkeypatch.setattr(HttpProtocol, "on_body", lambda s, b: (parts.append(b), on_body(s, b))[1])
    client = open_client()
    client.send(head("Transfer-Encoding: chunked", path="/refused"))
    assert client.reply()[0] == 401
    client.send(b"1\r\na\r\n" * 1000)
    assert client.is_closed()
    assert parts == []


def test_a_body_may_come_in_any_pieces_behind_another_request(port: int) -> None:
    """Its rest is read as a whole, and what follows it as requests again."""
    body = bytes(range(256)) * 40
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    sent = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + (head + body) * 3
    for size in (len(sent), 5000, 700):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            for start in range(0, len(sent), size):
                one.sendall(sent[start : start + size])
            replies = b""
            while replies.count(b"%d" % len(body)) < 3:
                more = one.recv(65536)
                assert more, replies
                replies += more
        assert replies.count(b"HTTP/1.1 200 OK") == 4
