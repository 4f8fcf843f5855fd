"""HTTP/1.1 as uvicorn speaks it, in bounded memory and time, and without changes of protocol.

uvicorn waits for as long as a client likes: for the head of a request, which it collects whatever
its size; for each next byte of a body; and for replies to be read. Here each of these has a bound,
which holds before there is a route or a key.

RFC 9110, 7.8: a server may pass over an offer to go on in another protocol, and then answers in
HTTP/1.1. The HttpClient of Java, and so of Spring, makes one (`Upgrade: h2c`) with its first
request, and `curl --http2` does. httptools leaves what follows the head to the new protocol, even
if there is none: the request would have no body (MagicStack/httptools#124, Kludex/uvicorn#2722).
"""

import uuid
from asyncio import BaseTransport
from collections import Counter
from typing import Any, ClassVar
from weakref import proxy

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.http.limits import ConnectionLimits, connections_place
from service.http.replies import problem_json
from service.http.rounds import Rounds
from service.http.transport import MAX_LINGER_SECONDS, Flow, LingeringTransport
from service.problems import Problem
from service.scoreboard import Scoreboard

UVICORN_KEEP_ALIVE = 5  # seconds: its default, which is shorter than any proxy's
RATE_SECONDS = 10.0  # over which a body's rate is taken
# Requests that came at once are made for others to wait for: some thirty microseconds each.
MAX_PIPELINED = 16  # that wait for an earlier one of their connection, before more are read
MAX_FIELDS = (
    200  # of a head and of trailers: each takes some hundred bytes, and may be sent as four
)
MAX_PARTS = 500  # of a body in a turn of the loop: chunks may be of a byte, and take microseconds
PIECE_BYTES = 1024  # that are read at once, unless they are of a body
FRAMING = 16  # bytes around each byte of a body, at most: chunks may be as small as that
OFFER = (b"upgrade", b"http2-settings")  # headers, and what Connection says of them


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose requests arrive and whose replies leave in bounded time and size.

    What is too large or too slow is refused with a problem, and the connection closed. An offer of
    another protocol is passed over.
    """

    limits: ClassVar = ConnectionLimits()
    board: ClassVar = Scoreboard.alone()
    addresses: ClassVar[Counter[str]] = Counter()
    transport: LingeringTransport  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread: bytes | memoryview = b""  # that has come, and waits for earlier requests
        self._answered = self.cycle  # of those that came at once, `cycle` is the last
        self.parser = self._new_parser()

    def connection_made(self, transport: BaseTransport) -> None:
        # a cycle would keep what a connection took until the collector comes
        super().connection_made(LingeringTransport(transport, proxy(self)))  # type: ignore[arg-type]
        if self.timeout_keep_alive == UVICORN_KEEP_ALIVE:  # no option of `bentoml serve` says more
            self.timeout_keep_alive = self.limits.keep_alive_timeout_ms / 1000  # type: ignore[assignment]
        self.flow = Flow(self.transport, proxy(self))
        now = self.loop.time()
        self._problem: Problem | None = None  # for which the connection is being closed
        self._head_since: float | None = now  # a head is awaited, or comes in
        self._head_bytes = 0
        self._is_in_body = False
        self._received = self._body_bytes = 0  # since the last head
        self._stated = 0  # bytes of the body, as its head says
        self._parts, self._goes_on = 0, False  # of all bodies; whether reading on has been planned
        self._rate_since, self._rate_bytes = now, 0
        self._unread_since, self._unread_bytes = now, 0
        self._replied_at = now
        self._rounds = Rounds.of(self.loop)
        self._rounds.add(self)
        self._address = self.client[0] if self.client else ""
        self.addresses[self._address] += 1
        self._count_connections()
        self._check_count()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rounds.remove(self)
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]
        self._end_reply()
        super().connection_lost(exc)
        self._count_connections()
        self._unset_keepalive_if_required()
        self.pipeline.clear()  # each of these would hold this, and all they brought
        self.cycle = self._answered = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            self.transport.heard()
            return
        self._unread = memoryview(b"".join((self._unread, data)) if self._unread else data)
        self._read_on()

    def on_response_complete(self) -> None:
        self._replied_at = self.loop.time()
        if self.pipeline:
            self._answered = self.pipeline[-1][0]
        super().on_response_complete()
        if self._is_in_body and not self._stated and self.cycle.response_complete:
            self.transport.close()  # to find the end of what nobody wants would take each chunk
        elif self._unread:
            self._go_on_soon()

    def eof_received(self) -> None:
        """A client that ends in the midst of a body, and may still read, is told so."""
        if self._is_in_body:
            detail = "The body ends before the length that the request states, or its last chunk."
            self._refuse(Problem("malformed_body", detail))

    def on_message_begin(self) -> None:
        if self._head_since is None:
            self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_FIELDS:
            detail = f"The head of a request has at most {MAX_FIELDS} fields."
            self._problem = Problem("head_too_large", detail)
            raise ValueError  # the parser stops, see `_feed`
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._has_offer():
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_head_bytes:
            self._problem = self._too_large()
            raise ValueError
        self._head_since = None
        self._received = self._body_bytes = 0
        self._stated = next((int(v) for name, v in self.headers if name == b"content-length"), 0)
        self._rate_since, self._rate_bytes = self.loop.time(), 0
        super().on_headers_complete()
        self._is_in_body = True
        if not self.pipeline:
            self._answered = self.cycle

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._parts += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._has_offer():
            self._is_in_body = False
            super().on_message_complete()

    def pass_over_offer(self, after_head: bytes | memoryview) -> None:
        """Have the request whose head has come read again, without its offer."""
        if not self._has_offer():  # CONNECT, which is one by itself
            return
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        head.extend(b"%b: %b" % header for header in self.headers if header[0] not in OFFER)
        self.parser = self._new_parser()
        self._await_head()
        again = b"\r\n".join((*head, b"", b""))
        self._unread = memoryview(b"".join((again, after_head, self._unread)))

    def look(self) -> None:
        """Refuse a client that is too slow; called once in `service.http.rounds.LOOK_SECONDS`."""
        now = self.loop.time()
        if not self.transport.is_closing():
            self._check_head(now)
            self._check_body(now)
        self._check_unread(now)
        self.transport.look()

    @property
    def is_sending(self) -> bool:
        """Whether more may come of what the client has begun."""
        return self._is_in_body or self._problem is not None or self.has_unread

    @property
    def has_unread(self) -> bool:
        """Whether what has come waits for earlier requests to be answered."""
        return bool(self._unread)

    def _go_on_soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        self._read_on()
        self.flow.resume_reading()

    def _read_on(self) -> None:
        """Read what has come, up to so many requests, or parts of a body, that the rest can wait
        for others to have a turn."""
        parts_end = self._parts + MAX_PARTS
        while self._unread and not self.transport.is_closing():
            if len(self.pipeline) >= MAX_PIPELINED or self._parts >= parts_end:
                self.flow.pause_reading()
                if self._parts >= parts_end:
                    self._go_on_soon()
                break
            size = max(PIECE_BYTES, self._stated - self._body_bytes if self._is_in_body else 0)
            piece = self._unread[:size]
            self._unread = self._unread[size:] or b""  # no view, which would keep what it is of
            self._read(piece)

    def _read(self, data: bytes | memoryview) -> None:
        if self._is_idle():
            self._await_head()
        if self._head_since is None:
            self._received += len(data)
        else:
            self._head_bytes += len(data)
        self._feed(data)
        if self._head_since is not None and self._head_bytes > self.limits.max_head_bytes:
            self._refuse(self._too_large())
        elif self._received > self.limits.max_head_bytes + FRAMING * self._body_bytes:
            self._refuse(self._too_large())  # trailers, or extensions of chunks
        elif self._is_idle() and self.timeout_keep_alive_task is None:  # a refused body's end
            seconds, close = self.timeout_keep_alive, self.timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(seconds, close)

    def _feed(self, data: bytes | memoryview) -> None:
        """As uvicorn does, but without a line in the log for whatever is not HTTP."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            not_http = Problem("malformed_body", "The request cannot be read: it is not HTTP/1.1.")
            self._refuse(self._problem or not_http)

    def _count_connections(self) -> None:
        self.board.own[connections_place(self.board)] = len(self.connections)

    def _check_count(self) -> None:
        of_address = self.limits.max_address_connections
        if of_address is not None:  # each worker grants its part of them
            of_address = max(1, of_address // self.board.expected)
        if self.board.total(connections_place(self.board)) > self.limits.max_connections or (
            of_address is not None and self.addresses[self._address] > of_address
        ):
            self._refuse(Problem("overloaded", "The service has too many open connections."))

    def _check_head(self, now: float) -> None:
        since, seconds = self._head_since, self.limits.head_timeout_ms / 1000
        if self._unread and since is not None:
            self._head_since = now  # the next step is ours
        elif since is not None and now - since > seconds:
            if self._head_bytes:
                detail = f"The head of a request must arrive within {seconds:g} s."
                self._refuse(Problem("request_too_slow", detail))
            else:
                self.transport.close()  # nothing was asked

    def _check_body(self, now: float) -> None:
        # while reading is paused, or a client waits to be asked on, the next step is ours
        if not self._is_in_body or self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._rate_since, self._rate_bytes = now, self._body_bytes
            return
        if self.cycle.response_complete and now - self._replied_at > MAX_LINGER_SECONDS:
            self.transport.abort()  # nobody wants it
        seconds, least = now - self._rate_since, self.limits.min_body_rate
        if seconds < RATE_SECONDS:
            return
        if self._body_bytes - self._rate_bytes < least * seconds:
            detail = f"A body must arrive at {least} bytes a second or more."
            self._refuse(Problem("request_too_slow", detail))
        self._rate_since, self._rate_bytes = now, self._body_bytes

    def _check_unread(self, now: float) -> None:
        """Whoever reads nothing of what is sent is not waited for."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting or waiting < self._unread_bytes:
            self._unread_since = now
        self._unread_bytes = waiting
        if now - self._unread_since > self.limits.unread_timeout_ms / 1000:
            self.transport.abort()

    def _has_offer(self) -> bool:
        return self.parser.should_upgrade() and any(name in OFFER for name, _ in self.headers)

    def _new_parser(self) -> "_Parser":
        parser = _Parser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return parser

    def _is_idle(self) -> bool:
        """Whether no request is being read or answered, nor its head awaited."""
        return self._head_since is None and not self._is_in_body and self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_since, self._head_bytes = self.loop.time(), 0

    def _too_large(self) -> Problem:
        limit = self.limits.max_head_bytes
        return Problem("head_too_large", f"The head of a request has at most {limit} bytes.")

    def _end_reply(self) -> bool:
        """Let nothing more be written, which would fail; returns whether a reply is cut by this."""
        cycle = self._answered
        if cycle is None or cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return cycle.response_started

    def _refuse(self, problem: Problem) -> None:
        """Tell what is wrong, if no reply has begun, and close the connection."""
        if self.transport.is_closing():
            return
        self._problem = problem
        self._unset_keepalive_if_required()
        if self._is_in_body and self.cycle.response_complete:  # there is a reply
            self.transport.close()
            return
        if self._end_reply():
            self.transport.abort()
            return
        request_id = uuid.uuid4().hex
        reply = problem_json(problem, request_id)
        reply.headers.update({"X-Request-ID": request_id, "Connection": "close"})
        head = b"".join(b"%b: %b\r\n" % field for field in reply.raw_headers)
        self.transport.write(STATUS_LINE[reply.status_code] + head + b"\r\n" + bytes(reply.body))
        self.transport.close()


class _Parser(httptools.HttpRequestParser):
    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._protocol.pass_over_offer(data[offer.args[0] :])
