"""Servers on loopback addresses, and a resolver that knows what a test tells it."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socket import AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    server: "LocalServer"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, list(self.headers.items())))
        self.server.answers.get(self.path, reply(404))(self)

    def log_message(self, *args: Any) -> None:
        pass


class LocalServer(ThreadingMixIn, TCPServer):
    """Gives `answers` by path; notes every connection and request. ``tls``: speaks https."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        if ":" in host:
            self.address_family = AF_INET6
        super().__init__((host, port), Handler)
        self.host, self.port, self.tls = host, self.server_address[1], tls
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, list[tuple[str, str]]]] = []
        self.connections = 0

    def get_request(self) -> Any:
        connection, peer = super().get_request()
        self.connections += 1
        if self.tls is not None:  # the handshake comes with the first read, in a thread of its own
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, peer

    def handle_error(self, *args: Any) -> None:
        """A client that goes away, or distrusts the certificate, is what the tests are about."""

    def url(self, path: str = "/", scheme: str = "http") -> str:
        return f"{scheme}://{self.host}:{self.port}{path}"


@contextmanager
def local_server(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[LocalServer]:
    with LocalServer(host, port, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    """``headers`` replace Content-Length if they name it; an underscore stands for a hyphen."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def raw(*parts: bytes, pause: float = 0.0, forever: bool = False) -> Answer:
    """The bytes of ``parts`` as they are, ``pause`` seconds after each; ``forever``: the last of
    them again and again, until the client is gone."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        gone = threading.Event()
        for part in parts:
            handler.wfile.write(part)
            gone.wait(pause)
        while forever:
            handler.wfile.write(parts[-1])
            gone.wait(pause)
        handler.close_connection = True

    return answer


class Resolver:
    """Answers of a name server, one after the other and the last for good. ``default``: of the
    names not in ``answers``."""

    def __init__(
        self, answers: dict[str, Sequence[Sequence[str]]], default: Sequence[str] = ()
    ) -> None:
        self._answers = {name: list(addresses) for name, addresses in answers.items()}
        self._default = default
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers.get(host, [self._default])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not answer:
            raise OSError("Name or service not known")
        return answer
