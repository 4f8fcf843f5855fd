"""A call that is being answered: who makes it, how it is scheduled, and how it ends.

metadata ─► key, rate, room (`service.request`) ─► message ─► method ─► reply or status ─► recording
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any
from urllib.parse import unquote

from grpc import StatusCode
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.grpc.arrivals import Rpc
from service.http.listening import PROXIES_VARIABLE
from service.inference.deadline import Deadline, RequestPolicy
from service.problems import Problem
from service.request import REQUEST_ID_KEY, TIMEOUT_KEY, Request, choose_id
from service.rollout.shadows import Sample
from service.worker import Worker

MAX_TEXT = 600  # characters, each up to twelve in a trailer: clients take 8 kB of them
FORWARDED_KEY = "x-forwarded-for"
# What a problem's status over HTTP is called here.
CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    405: StatusCode.UNIMPLEMENTED,
    408: StatusCode.UNAVAILABLE,
    409: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.INVALID_ARGUMENT,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    431: StatusCode.INVALID_ARGUMENT,
    500: StatusCode.INTERNAL,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


@dataclass(eq=False, kw_only=True)
class Call(Request):
    """A call of one message, or one message of a stream.

    rpc: what gRPC knows of it.
    message: that came, until its method has taken it. ``body_id``: the request's own id in it.
    sample: for the other version of a model on trial, once the reply is sent.
    """

    rpc: Rpc
    message: bytes = b""
    body_id: str = ""
    sample: Sample | None = None

    @classmethod
    async def begin(cls, worker: Worker, template: str, rpc: Rpc) -> "Call":
        """That of a call that comes now; ``template`` is its method's whole name."""
        metadata = rpc.invocation_metadata() or ()
        headers = read_metadata(metadata)
        forwarded = [str(value) for key, value in metadata if key == FORWARDED_KEY]
        return cls(
            worker=worker,
            request_id=choose_id(headers),
            method="POST",  # as gRPC's are over HTTP/2
            template=template,
            headers=headers,
            address=await find_address(rpc.peer(), forwarded),
            rpc=rpc,
        )

    @cached_property
    def policy(self) -> RequestPolicy:
        """As over HTTP; gRPC's own deadline says how long it has like the header does, and of both
        the sooner holds."""
        policy = super().policy
        seconds = self.rpc.time_remaining()
        if seconds is None:
            return policy
        if TIMEOUT_KEY in self.headers:
            seconds = min(seconds, policy.deadline.granted)
        seconds = min(seconds, self.worker.settings.max_request_timeout_ms / 1000)
        return replace(policy, deadline=Deadline.after(seconds))

    def take_message(self) -> bytes:
        """The message, which nothing keeps in memory then but the caller of this."""
        message, self.message = self.message, b""
        return message

    def note_end(self, problem: Problem | None, response_bytes: int = 0) -> None:
        """Record how it ended: with ``problem``, or well."""
        self.response_bytes = response_bytes
        if problem is None:
            self.status = 200
        else:
            self.status, self.reason = problem.kind.status, problem.code

    def note_cancelled(self) -> None:
        """Record that gRPC has cancelled it: at the caller's own deadline, or because it left."""
        remaining = self.rpc.time_remaining()
        if remaining is not None and remaining <= 0:
            self.note_end(Problem("deadline_exceeded", "The caller's own deadline has passed."))
        else:
            self.note_gone()

    def trailers(self, problem: Problem | None) -> tuple[tuple[str, str], ...]:
        """What follows the reply: the request's id, and when a retry may do better."""
        found = [(REQUEST_ID_KEY, self.request_id)]
        if problem is not None and problem.kind.retryable:
            # in milliseconds; gRPC's own retries wait for so long
            found.append(("grpc-retry-pushback-ms", str(round(problem.retry_after * 1000))))
        return tuple(found)


def code_of(problem: Problem) -> StatusCode:
    return CODES[problem.kind.status]


def text_of(problem: Problem) -> str:
    """As V2 has it over HTTP, but cut to `MAX_TEXT`."""
    text = f"{problem.code}: {problem.detail}"
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def read_metadata(metadata: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """By their keys, which gRPC has in lower case; of several of one key the first. Those that are
    bytes are none of ours."""
    headers: dict[str, str] = {}
    for key, value in metadata:
        if isinstance(value, str):
            headers.setdefault(key, value)
    return headers


async def find_address(peer: str, forwarded: Sequence[str]) -> str:
    """The caller's address: that of ``peer``, as gRPC writes it (ipv4:192.0.2.1:5000), or if that
    is a trusted proxy's, the one that it tells in its headers ``forwarded``."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    host = unquote(rest.rpartition(":")[0]).strip("[]")
    if not forwarded:
        return host
    headers = [(FORWARDED_KEY.encode(), one.encode("latin-1", "replace")) for one in forwarded]
    scope: Any = {"type": "http", "client": (host, 0), "headers": headers}
    await _proxy_headers(os.environ.get(PROXIES_VARIABLE, ""))(scope, _nothing, _nothing)
    found: str = scope["client"][0]
    return found


@cache
def _proxy_headers(proxies: str) -> ProxyHeadersMiddleware:
    """What uvicorn has for HTTP, which believes the same proxies."""
    return ProxyHeadersMiddleware(_nothing, proxies)


async def _nothing(*_: Any) -> Any:
    """In the place of an application: the middleware changes the scope before it calls it."""
