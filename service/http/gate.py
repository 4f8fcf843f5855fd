"""The gate: what every request passes on its way in, and every reply on its way out.

id ─► route ─► key ─► rate ─► application ─► headers ─► metrics, access log
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import cache
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from service.http.aim import read_aim
from service.http.answering import answer
from service.http.exchange import REQUEST_ID_HEADER, REQUEST_ID_KEY, Exchange
from service.http.policy import read_policy
from service.http.replies import problem_reply
from service.http.v2.replies import error_reply
from service.manifest import Task
from service.problems import MEDIA_TYPE, Problem
from service.telemetry.logs import logger, request_id
from service.telemetry.metrics import OK
from service.worker import current_worker

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeader = tuple[bytes, bytes]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Of a fault that BentoML or Starlette words for itself, what it is in ours.
FOREIGN_FAULTS = {
    404: ("not_found", "There is nothing at {path}."),
    405: ("method_not_allowed", "{path} does not take {method}."),
    415: ("unsupported_media_type", "{path} does not take this content type."),
    503: ("not_ready", "The service is starting or stopping."),
}
OWN_ERRORS = "/v2"  # the Open Inference Protocol has a shape of its own for errors
# In ASGI's shape: names in lower case.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
PAGE_HEADERS = (
    (b"x-frame-options", b"DENY"),
    # Swagger UI, which shows the API, has styles in itself; the playground has a policy of its own
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'"
        b" data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
)
ID_HEADER = REQUEST_ID_KEY.encode()
# Set anew, or nobody's business.
REPLACED = frozenset({ID_HEADER, b"server", *(name for name, _ in SECURITY_HEADERS)})


class Gate:
    """ASGI middleware around the whole service."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._outside: App | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._outside is None:  # the settings are read by now
            self._outside = self._with_cors(current_worker().settings.cors_origins)
        await self._outside(scope, receive, send)

    def _with_cors(self, origins: tuple[str, ...]) -> App:
        if not origins:
            return self._pass
        return CORSMiddleware(
            self._pass,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After", "Server-Timing"],
        )

    async def _pass(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        worker = current_worker()
        doorkeeper = worker.doorkeeper
        exchange = Exchange.begin(dict_of(scope))
        request_id.set(exchange.request_id)
        reply = Reply(exchange, send)
        doorkeeper.enter(exchange)
        try:
            doorkeeper.admit(exchange)
            if exchange.route is not None and exchange.route.brings_images:
                # here, where no costs it little more than a reply
                exchange.policy = read_policy(exchange.headers, worker.settings)
                task, reference, certain = read_aim(exchange, scope)
                worker.engine.check_room(exchange.policy, task, reference, certain=certain)
            await self._app_for(exchange)(scope, counted(receive, exchange), reply.send)
        except Problem as problem:
            await reply.refuse(problem)
        except Exception:
            logger.exception("request %s failed", exchange.request_id)
            await reply.refuse(Problem("internal_error", "The service failed."))
        finally:
            doorkeeper.leave(exchange)

    def _app_for(self, exchange: Exchange) -> App:
        """A question goes straight to its answer: the way through Starlette's and BentoML's layers
        to the same function takes the event loop longer than all that is done on it."""
        task = exchange.route.task if exchange.route is not None else None
        return self._app if task is None else answering(task)


@cache
def answering(task: Task) -> App:
    """What answers questions of ``task``, as an ASGI application."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        worker = current_worker()
        request = Request(scope, receive)
        response = await answer(task, request, worker.engine, worker.settings, worker.fetcher)
        await response(scope, receive, send)

    return app


class Reply:
    """Sends a reply with the headers that all have, and puts foreign faults in our own words."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange, self._send = exchange, send
        self._started = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Pass on what the application replies, or reply for it."""
        if message["type"] == "http.response.start" and (problem := self._foreign_fault(message)):
            self._replaced = True
            await self.refuse(problem)
        elif not self._replaced:
            await self._pass_on(message)

    async def refuse(self, problem: Problem) -> None:
        """Reply with ``problem``, unless a reply has begun already."""
        if self._started:
            return
        self._exchange.reason = problem.code
        headers = {}
        if problem.code == "method_not_allowed" and self._exchange.route is not None:
            headers["Allow"] = ", ".join(self._exchange.route.methods)
        if self._exchange.path.startswith(OWN_ERRORS):
            response = error_reply(self._exchange, problem)
            response.headers.update(headers)
        else:
            response = problem_reply(problem, self._exchange.request_id, headers)
        await response({"type": "http"}, _nothing, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self._exchange.status = message["status"]
            message["headers"] = self._with_ours(message["headers"])
        elif message["type"] == "http.response.body":
            self._exchange.response_bytes += len(message.get("body", b""))
        await self._send(message)

    def _foreign_fault(self, message: Message) -> Problem | None:
        status = message["status"]
        path = self._exchange.path
        if status < 400 or path.startswith(OWN_ERRORS) or self._exchange.reason != OK:
            return None
        headers = Headers(raw=message["headers"])
        if headers.get("content-type", "").startswith(MEDIA_TYPE):
            return None
        code, detail = FOREIGN_FAULTS.get(status, ("internal_error", "The service failed."))
        if status < 500 and code == "internal_error":
            code, detail = "malformed_body", "The request cannot be read."
        return Problem(code, detail.format(path=path, method=self._exchange.method))

    def _with_ours(self, headers: Iterable[RawHeader]) -> list[RawHeader]:
        """The headers that an application sends, with those that all replies have."""
        found = [header for header in headers if header[0] not in REPLACED]
        found.append((ID_HEADER, self._exchange.request_id.encode()))
        found.extend(SECURITY_HEADERS)
        sent = dict(found)
        if sent.get(b"content-type", b"").startswith(b"text/html"):
            found.extend(header for header in PAGE_HEADERS if header[0] not in sent)
        return found


def counted(receive: Receive, exchange: Exchange) -> Receive:
    """``receive``, which counts the bytes of the body."""

    async def receive_counted() -> Message:
        message = await receive()
        exchange.request_bytes += len(message.get("body", b""))
        return message

    return receive_counted


def dict_of(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """An ASGI scope is a dict; only its type says less."""
    assert isinstance(scope, dict)
    return scope


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
