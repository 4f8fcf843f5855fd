"""The middleware that every request passes on its way in, and every reply on its way out.

id ─► route ─► key ─► rate ─► room ─► endpoint ─► errors to replies ─► headers ─► recording
"""

from collections.abc import Callable, Iterable
from functools import cached_property, partial

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.compression import Compressor
from service.http.context import SCOPE_KEY, ClientGone, RequestContext
from service.http.replies import TIMING_HEADER
from service.http.routes import check_method, find_route, path_below
from service.problems import Problem, quoted
from service.request import (
    CLIENT_GONE_STATUS,
    REQUEST_ID_HEADER,
    REQUEST_ID_KEY,
    answering,
    to_problem,
)
from service.worker import Worker

RawHeader = tuple[bytes, bytes]

# Errors that BentoML and Starlette put in their own words: code and detail in ours, by status.
FOREIGN_ERRORS = {
    404: ("not_found", "There is nothing at {path}."),
    503: ("not_ready", "The service is starting or stopping."),
}
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
# An application's own are dropped: all but the server's name are set here.
DROPPED = frozenset({ID_HEADER, b"server", *(name for name, _ in SECURITY_HEADERS)})


class ServiceMiddleware:
    """ASGI middleware around BentoML's application, which answers only what no endpoint of ours
    does: the way through its layers takes the event loop longer than all that is done here.

    find_worker: that of this process; asked for once, with the first request.
    """

    def __init__(self, app: ASGIApp, find_worker: Callable[[], Worker]) -> None:
        self._app, self._find_worker = app, find_worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @cached_property
    def _serve(self) -> ASGIApp:
        worker = self._find_worker()
        serve = partial(self._serve_request, worker)
        if not worker.settings.cors_origins:
            return serve
        return CORSMiddleware(
            serve,
            allow_origins=worker.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After", TIMING_HEADER],
        )

    async def _serve_request(
        self, worker: Worker, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request, whatever happens, and record it."""
        path = scope["path"]
        if root := worker.settings.root_path:
            path = path_below(root, path)
            scope = {**scope, "path": root + path, "root_path": root}  # whatever a proxy stripped
        context = RequestContext.begin(worker, *find_route(path), scope, receive)
        reply = Reply(context, send)
        with answering(context):
            try:
                admit(context)
                if context.route.endpoint is None:
                    await self._forward(context, reply)
                else:
                    await reply.send_response(await context.route.endpoint(context))
            except Exception as error:
                await reply.send_error(error)

    async def _forward(self, context: RequestContext, reply: "Reply") -> None:
        """Let BentoML reply; raises HTTPException in place of an error of its own."""
        status, pass_on = 0, reply.sender

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            if status < 400:
                await pass_on(message)

        await self._app({**context.scope, SCOPE_KEY: context}, context.receive, send)
        if status >= 400:
            raise HTTPException(status)


def admit(context: RequestContext) -> None:
    """Raise Problem if the request is not admitted; its body has not been read yet."""
    route, worker = context.route, context.worker
    check_method(route, context.method, context.path, worker.settings.root_path)
    context.authorize(route.scope_of(context.method))
    if route.brings_images:
        reference, certain = context.head_reference
        worker.engine.check_room(context.policy, route.task, reference, certain=certain)


class Reply:
    """Sends the reply to a request with the headers that all have, and notes how it went."""

    def __init__(self, context: RequestContext, send: Send) -> None:
        self._context, self._send = context, send
        self._has_begun = False

    async def send(self, message: Message) -> None:
        """Pass on a message of an application."""
        if message["type"] == "http.response.start":
            self._has_begun = True
            self._context.status = message["status"]
            message["headers"] = self._with_ours(message["headers"])
        elif message["type"] == "http.response.body":
            self._context.response_bytes += len(message.get("body", b""))
        await self._send(message)

    @property
    def sender(self) -> Send:
        """`send`, or where the route's replies are compressed, what does that before it."""
        context = self._context
        if context.route.brings_images:
            return self.send
        accepted = context.headers.get("accept-encoding", "")
        return Compressor(accepted, context.method, self.send).send

    async def send_response(self, response: Response) -> None:
        await response(self._context.scope, self._context.receive, self.sender)

    async def send_error(self, error: Exception) -> None:
        """Reply with ``error`` in the route's dialect, unless a reply has begun already."""
        context = self._context
        if isinstance(error, ClientGone):
            context.note_gone()
            response = Response(status_code=CLIENT_GONE_STATUS)
        else:
            problem = in_words_of_the_api(error, context)
            context.reason = problem.code
            response = context.route.dialect(problem, context.request_id)
            if "expect" in context.headers and not context.request_bytes:
                response.headers["Connection"] = "close"  # the body may come or not
            if problem.code == "method_not_allowed":
                response.headers["Allow"] = ", ".join(context.route.allowed)
        if not self._has_begun:
            await self.send_response(response)

    def _with_ours(self, headers: Iterable[RawHeader]) -> list[RawHeader]:
        """The headers that an application sends, with those that all replies have."""
        found = [header for header in headers if header[0] not in DROPPED]
        found.append((ID_HEADER, self._context.request_id.encode()))
        found.extend(SECURITY_HEADERS)
        sent = dict(found)
        if sent.get(b"content-type", b"").startswith(b"text/html"):
            found.extend(header for header in PAGE_HEADERS if header[0] not in sent)
        return found


def in_words_of_the_api(error: Exception, context: RequestContext) -> Problem:
    """`to_problem`, of the errors of BentoML and Starlette as well."""
    match error:
        case HTTPException(status_code=status) if status < 500 or status in FOREIGN_ERRORS:
            unreadable = ("malformed_body", "The request cannot be read.")
            code, detail = FOREIGN_ERRORS.get(status, unreadable)
            return Problem(code, detail.format(path=quoted(context.path)[1:-1]))
    return to_problem(error, context)
