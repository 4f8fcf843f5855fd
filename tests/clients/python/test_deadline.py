"""The timeout bounds the whole call, however slowly the server, the network or a resolver acts."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from boxport_client import BoxportError, ConnectionFailed, RequestTimedOut

from tests.clients.python.scripted import ScriptedServer, answers

HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
GZIP_HEAD = gzip.compress(b"")[:10]
SECONDS = 0.3
LATE = 1.5


class Trickling:
    """A server that acts on each connection, and stops when the test is over."""

    def __init__(self, act: Callable[["Trickling", socket.socket], None]) -> None:
        self._act = act
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def every_tenth(self) -> Iterator[None]:
        while not self._over.wait(0.1):
            yield

    def close(self) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._act(self, connection)


def sends_slowly(*begin: bytes, then: bytes = b"a") -> Callable[[Trickling, socket.socket], None]:
    """Sends the beginning of a reply at once, and of the rest a byte now and then."""

    def act(server: Trickling, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"".join(begin))
        for _ in server.every_tenth():
            connection.sendall(then)

    return act


def takes_slowly(server: Trickling, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in server.every_tenth():
        connection.recv(1000)


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert SECONDS - 0.1 < time.monotonic() - begun < LATE


@pytest.mark.parametrize(
    ("act", "photo"),
    [
        (sends_slowly(), b"photo"),
        (sends_slowly(b"HTTP/1.1 200 OK\r\nX-Filler: "), b"photo"),
        (sends_slowly(HEAD, GZIP_HEAD, then=b"\x00"), b"photo"),
        (sends_slowly(b"HTTP/1.1 100 Continue\r\n\r\n", then=b"HTTP/1.1 100 a\r\n\r\n"), b"photo"),
        (takes_slowly, b"a" * 40_000_000),
    ],
    ids=["status", "header", "gzip head", "interim replies", "upload"],
)
def test_bytes_that_come_and_go_slowly(make_client, act: Callable, photo: bytes) -> None:
    server = Trickling(act)
    try:
        client = make_client(server.url, timeout=SECONDS, retries=0)
        with in_time(), pytest.raises(RequestTimedOut, match=r"within 0\.3 s"):
            client.detect(photo)
    finally:
        server.close()


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port of all local addresses that takes no connection: those that wait fill its queue."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        time.sleep(0.05)
        yield port
        for one in waiting:
            one.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let the name service.test have these addresses."""
    look_up = socket.getaddrinfo

    def found(host, *given, **named):
        if host not in ("service.test", b"service.test"):
            return look_up(host, *given, **named)
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_addresses_that_do_not_reply_share_the_time(make_client, monkeypatch, deaf: int) -> None:
    resolve_to(monkeypatch, *((f"127.0.0.{last}", deaf) for last in range(1, 7)))
    client = make_client(f"http://service.test:{deaf}", timeout=SECONDS, retries=0)
    with in_time(), pytest.raises(BoxportError):
        client.detect(b"photo")


def test_an_address_that_replies_is_found_behind_one_that_does_not(
    make_client, monkeypatch, scripted: ScriptedServer
) -> None:
    """The scripted server listens on 127.0.0.1 only; a refusal is quick."""
    port = int(scripted.url.rpartition(":")[2])
    resolve_to(monkeypatch, ("127.0.0.2", port), ("127.0.0.1", port))
    client = make_client(f"http://service.test:{port}", retries=0)
    assert client.detect(b"photo").width == 100


def test_a_name_that_is_not_found_in_time(make_client, monkeypatch) -> None:
    asked = threading.Event()

    def slow(*given, **named):
        asked.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = make_client("http://service.test", timeout=SECONDS, retries=0)
    with in_time(), pytest.raises(BoxportError):
        client.detect(b"photo")
    asked.set()


def test_a_name_that_does_not_exist(make_client, monkeypatch) -> None:
    def unknown(*given, **named):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionFailed, match="Name or service not known"):
        make_client("http://service.test", retries=0).detect(b"photo")


def test_each_thread_has_a_deadline_of_its_own(make_client, scripted: ScriptedServer) -> None:
    """Photos of one client that are sent at a time, some of which are answered late."""

    def by_size(handler) -> None:
        if handler.body == b"slow":
            time.sleep(1.2)
        answers()(handler)

    scripted.then = by_size
    # A connection that breaks is tried again, a deadline that has passed is not.
    client = make_client(scripted.url, retries=1)
    client.detect(b"quick", timeout=1)
    found = list(client.detect_many([b"slow", b"quick", b"slow"], timeout=5))
    assert [outcome.error for outcome in found] == [None] * 3
    assert json.dumps(found[0].result.to_dict())
