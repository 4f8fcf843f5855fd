"""Clients that speak HTTP by themselves, over a real server's sockets."""

import http.client
import json
import socket

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.http.limits import ConnectionLimits

LIMITS = ConnectionLimits(
    max_head_bytes=4000,
    head_timeout_ms=500,
    min_body_rate=1000,
    unread_timeout_ms=500,
    keep_alive_timeout_ms=300,
    max_connections=40,
    max_address_connections=20,
)
REPLY = bytes(64 * 2**20)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The length of the body that came; or a long reply to whoever wants one."""
    request = Request(scope, receive)
    if request.url.path == "/long":
        await Response(REPLY)(scope, receive, send)
    elif request.url.path == "/refused":
        await Response("no", status_code=401)(scope, receive, send)
    else:
        await Response(str(len(await request.body())))(scope, receive, send)


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> tuple[int, bytes]:
        """Status and body of the next reply."""
        reply = http.client.HTTPResponse(self.socket, method="POST")
        reply.begin()
        return reply.status, reply.read()

    def problem(self) -> tuple[int, str]:
        status, body = self.reply()
        return status, json.loads(body)["code"]

    def is_closed(self) -> bool:
        """Whether the other side closes, instead of sending anything."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def head(*fields: str, path: str = "/") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: test", *fields, "", "")).encode()
