"""A request that is being answered: its route, its policy, its body, and what is recorded of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Message, Receive
from starlette.types import Scope as AsgiScope

from service.access.key_file import Scope
from service.http.replies import Dialect, problem_json
from service.manifest import Task
from service.problems import Problem
from service.request import Request, choose_id
from service.worker import Worker

SCOPE_KEY = "boxport.context"
# From then on the connection is watched; most requests are answered before.
WATCH_AFTER_SECONDS = 0.1

Endpoint = Callable[["RequestContext"], Awaitable[Response]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Route:
    """A row of the table of routes.

    template: of the path; a {parameter} is one part of it.
    methods: without HEAD; see ``allowed``.
    scope: what a key must allow; None where no key is needed.
    post_scope: what it must allow for POST, where that is more than for GET.
    endpoint: what answers; None where BentoML does.
    dialect: how errors are shaped.
    brings_images: whether there must be room for images before the body is read.
    task: that the images are for, where the path tells.
    """

    template: str
    methods: tuple[str, ...]
    scope: Scope | None
    endpoint: Endpoint | None
    dialect: Dialect = problem_json
    brings_images: bool = False
    task: Task | None = None
    post_scope: Scope | None = None

    def scope_of(self, method: str) -> Scope | None:
        """What a key must allow for ``method``."""
        return self.post_scope if method == "POST" and self.post_scope else self.scope

    @property
    def allowed(self) -> tuple[str, ...]:
        """All methods that may be used: HEAD goes wherever GET goes."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods


class ClientGone(Exception):
    """The caller has closed the connection, and reads no reply."""


@dataclass(eq=False, kw_only=True)
class RequestContext(Request):
    """A request over HTTP. ``parameters`` are those of the path, by name."""

    route: Route
    path: str
    scope: AsgiScope
    _receive: Receive

    @classmethod
    def begin(
        cls,
        worker: Worker,
        route: Route,
        parameters: Mapping[str, str],
        scope: AsgiScope,
        receive: Receive,
    ) -> "RequestContext":
        """That of a request that comes now."""
        headers = read_headers(scope["headers"])
        return cls(
            worker=worker,
            route=route,
            parameters=parameters,
            request_id=choose_id(headers),
            method=scope["method"],
            template=route.template,
            path=scope["path"],
            headers=headers,
            address=(scope.get("client") or ("", 0))[0],
            scope=scope,
            _receive=receive,
        )

    @classmethod
    def of(cls, scope: AsgiScope) -> "RequestContext":
        """That of a request which BentoML has been given."""
        context: RequestContext = scope[SCOPE_KEY]
        return context

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The names and values of the query string, in order."""
        text = self.scope["query_string"]
        return parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else []

    @cached_property
    def content_type(self) -> str:
        """Without its parameters; "" if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_raw_image(self) -> bool:
        """Whether the body is one image, and nothing else."""
        kind = self.content_type
        return kind.startswith("image/") or kind == "application/octet-stream"

    @property
    def head_reference(self) -> tuple[str | None, bool]:
        """The model that path or query name, and whether it is certain: the body of a form or of
        JSON may name another. None is the default model of the route's task."""
        if reference := self.path_reference:
            return reference, True
        named = [value for name, value in self.query if name == "model"]
        return (named[0], len(named) == 1) if named else (None, self.is_raw_image)

    async def receive(self) -> Message:
        """The next message of ASGI; the bytes of the body are counted."""
        message = await self._receive()
        self.request_bytes += len(message.get("body", b""))
        return message

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in chunks, as it comes; raises ClientGone if the caller goes before its end."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if chunk := message.get("body"):
                yield chunk
            more = message.get("more_body", False)

    def check_length(self, limit: int) -> None:
        """Raise Problem if the body is stated to have more than ``limit`` bytes: before it is read,
        so that a caller who has asked whether to send it (`Expect: 100-continue`) is told."""
        stated = self.headers.get("content-length", "")
        if stated.isascii() and stated.isdigit() and float(stated) > limit:
            raise body_too_large(limit)

    async def while_connected(self, work: Awaitable[Result]) -> Result:
        """The result of ``work``, which is cancelled once the caller goes; raises ClientGone then.

        The body must have been read.
        """
        watch: asyncio.Task[None] | None = None

        def begin_watch() -> None:
            nonlocal watch
            watch = asyncio.ensure_future(self._end_when_gone(connection))

        timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, begin_watch)
        try:
            async with asyncio.timeout(None) as connection:
                try:
                    return await work
                finally:
                    timer.cancel()
                    if watch is not None:
                        watch.cancel()
        except TimeoutError:
            if connection.expired():
                raise ClientGone from None
            raise

    async def _end_when_gone(self, connection: asyncio.Timeout) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        connection.reschedule(0)  # at once


def body_too_large(limit: int) -> Problem:
    return Problem("body_too_large", f"The body has more than {limit} bytes.")


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI's headers by their names, which are in lower case; of several of one name the first."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers
