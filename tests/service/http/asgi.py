"""Requests to an ASGI application without a server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from service.access.control import AccessControl
from service.http.context import RequestContext
from service.http.routes import find_route
from service.lifecycle import Lifecycle
from service.settings import Settings
from service.telemetry.record import RequestRecord

RawHeader = tuple[bytes, bytes]
DISCONNECT = {"type": "http.disconnect"}


@dataclass
class Recorder:
    """Keeps what it is told."""

    records: list[RequestRecord] = field(default_factory=list)

    def record(self, request: RequestRecord) -> None:
        self.records.append(request)


def make_worker(**settings: Any) -> Any:
    """A worker without models."""
    made = Settings(**settings)
    return SimpleNamespace(
        settings=made,
        access=AccessControl(made),
        fetcher=None,
        lifecycle=Lifecycle(),
        recorder=Recorder(),
    )


def make_scope(method: str, target: str, *headers: RawHeader) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": list(headers),
        "client": ("203.0.113.7", 4711),
    }


def receiver(*messages: dict[str, Any]) -> Callable[[], Any]:
    """What receives ``messages``, and then that the caller has gone."""
    left = [*messages]

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else DISCONNECT

    return receive


def begin(
    target: str, *headers: RawHeader, method: str = "GET", messages: Any = (), **settings: Any
) -> RequestContext:
    """The context of a request."""
    scope = make_scope(method, target, *headers)
    return RequestContext.begin(
        make_worker(**settings), *find_route(scope["path"]), scope, receiver(*messages)
    )
