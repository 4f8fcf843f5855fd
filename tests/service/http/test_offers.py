"""Offers to go on in another protocol are passed over, and the request is answered whole."""

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.http.connection import HttpProtocol
from service.http.listening import use_protocol

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
TLS = b"Upgrade: TLS/1.0\r\nConnection: keep-alive\r\nConnection: upgrade\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
BODY = bytes(range(256)) * 1000
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The body that came, its path and query, and the names of the headers."""
    request = Request(scope, receive)
    headers = {"x-target": request.url.path + "?" + request.url.query}
    headers["x-headers"] = " ".join(request.headers)
    await Response(await request.body(), headers=headers)(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(echo, http=HttpProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def head(*headers: bytes, method: bytes = b"POST") -> bytes:
    return b"%b /echo?a=%%20b HTTP/1.1\r\nHost: test\r\n%b\r\n" % (method, b"".join(headers))


def chunks(body: bytes, size: int = 7000) -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def reply(self, method: str = "POST") -> tuple[http.client.HTTPResponse, bytes]:
        """The next reply; its body is read."""
        reply = http.client.HTTPResponse(self.socket, method=method)
        reply.begin()
        return reply, reply.read()


@pytest.fixture
def connection(port: int) -> Iterator[Connection]:
    made = Connection(port)
    with made.socket:
        yield made


@pytest.mark.parametrize("offer", [H2C, TLS, WEBSOCKET], ids=["h2c", "tls", "websocket"])
@pytest.mark.parametrize(
    ("length", "body"), [(LENGTH, BODY), (CHUNKED, chunks(BODY))], ids=["length", "chunks"]
)
def test_the_body_behind_an_offer_is_read_whole(
    connection: Connection, offer: bytes, length: bytes, body: bytes
) -> None:
    for _ in range(2):
        connection.socket.sendall(head(offer, length, b"X-Own: 1\r\n") + body)
        reply, echoed = connection.reply()
        assert (reply.status, echoed) == (200, BODY)
        assert reply.headers["x-target"] == "/echo?a=%20b"
        assert {"host", "x-own"} <= set(reply.headers["x-headers"].split())
        assert "upgrade" not in reply.headers["x-headers"].split()


@pytest.mark.parametrize("step", [1, 7, 50])
def test_a_head_may_come_in_pieces(connection: Connection, step: int) -> None:
    sent = head(H2C, b"Content-Length: 3\r\n") + b"abc"
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(sent), step):
        connection.socket.sendall(sent[start : start + step])
    assert connection.reply()[1] == b"abc"


def test_a_request_without_a_body_is_answered_and_the_next_one_too(connection: Connection) -> None:
    connection.socket.sendall(head(H2C, method=b"GET"))
    assert connection.reply("GET")[0].status == 200
    connection.socket.sendall(head(b"Content-Length: 3\r\n") + b"abc")
    assert connection.reply()[1] == b"abc"


def test_offers_that_come_at_once_are_answered_in_order(port: int) -> None:
    connection = Connection(port)
    bodies = [b"%d" % number for number in range(1500)]
    sent = [head(H2C, b"Content-Length: %d\r\n" % len(body)) + body for body in bodies]
    with connection.socket:
        threading.Thread(target=connection.socket.sendall, args=(b"".join(sent),)).start()
        with connection.socket.makefile("rb") as replies:
            for body in bodies:
                assert replies.readline() == b"HTTP/1.1 200 OK\r\n"
                while replies.readline() != b"\r\n":
                    pass
                assert replies.read(len(body)) == body


def test_without_an_offer_nothing_is_changed(connection: Connection) -> None:
    connection.socket.sendall(head(b"Expect: 100-continue\r\n", LENGTH))
    assert connection.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.socket.sendall(BODY)
    assert connection.reply()[1] == BODY


def test_a_tunnel_is_not_opened(connection: Connection) -> None:
    connection.socket.sendall(b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n%b\r\n" % H2C)
    assert connection.reply()[0].status == 400


@pytest.mark.parametrize(
    ("trusted", "environment", "believed"),
    [
        ((), None, ""),
        (("10.0.0.0/8", "::1"), None, "10.0.0.0/8,::1"),
        ((), "10.1.2.3", "10.1.2.3"),
        (("10.0.0.0/8",), "10.1.2.3", "10.0.0.0/8"),
    ],
    ids=["nobody", "setting", "variable", "both"],
)
def test_whose_word_on_callers_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    trusted: tuple[str, ...],
    environment: str | None,
    believed: str,
) -> None:
    """By the server that is configured next, as BentoML does it."""
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "auto")
    monkeypatch.setattr(HttpProtocol, "limits", HttpProtocol.limits)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", environment or "")
    if environment is None:
        monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    use_protocol(HttpProtocol.limits, trusted, HttpProtocol.board)
    assert uvicorn.Config(echo).forwarded_allow_ips == believed
