"""One place turns whatever ends a request into its reply, and sets the headers that all have."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from service.http import middleware, routes
from service.http.context import SCOPE_KEY, ClientGone, RequestContext, Route
from service.http.middleware import ServiceMiddleware
from service.package import PackageError
from service.problems import Problem
from service.telemetry.record import RequestRecord
from tests.service.http.asgi import RawHeader, make_scope, make_worker, receiver

JSON = (b"content-type", b"application/json")
PAGE = (b"content-type", b"text/html; charset=utf-8")
ID = (b"x-request-id", b"ours")


@dataclass
class Reply:
    status: int
    headers: list[RawHeader]
    body: bytes
    record: RequestRecord

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    target: str, method: str = "GET", app: Any = None, headers: tuple[RawHeader, ...] = (ID,)
) -> Reply:
    """What the middleware replies, with ``app`` in the place of BentoML's."""
    worker = make_worker()
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    handler = ServiceMiddleware(app or PlainTextResponse("from BentoML"), lambda: worker)
    asyncio.run(handler(make_scope(method, target, *headers), receiver(), send))
    assert not worker.lifecycle.in_flight
    (record,) = worker.recorder.records
    start = messages[0]
    body = b"".join(message["body"] for message in messages[1:])
    assert (record.status, record.response_bytes) == (start["status"], len(body))
    return Reply(start["status"], start["headers"], body, record)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes an endpoint end as it is told, in either dialect."""

    def end(what: Exception | Response, template: str = "/v1/models") -> Reply:
        async def endpoint(context: RequestContext) -> Response:
            if isinstance(what, Exception):
                raise what
            return what

        row, _ = routes.find_route(template)
        changed = dataclasses.replace(row, endpoint=endpoint, scope=None)
        monkeypatch.setattr(middleware, "find_route", lambda path: (changed, {}))
        return ask(template)

    return end


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (Problem("model_not_found", "No pets."), 404, "model_not_found", "No pets."),
        (PackageError("pets/1: damaged"), 409, "model_unfit", "pets/1: damaged"),
        (HTTPException(404), 404, "not_found", "There is nothing at /v1/models."),
        (HTTPException(401), 400, "malformed_body", "The request cannot be read."),
        (HTTPException(500), 500, "internal_error", "The service failed."),
        (ValueError("secret"), 500, "internal_error", "The service failed."),
    ],
)
def test_an_error_becomes_problem_details(
    ending: Any, error: Exception, status: int, code: str, detail: str
) -> None:
    reply = ending(error)
    body = reply.json()
    assert (reply.status, body["code"], body["detail"]) == (status, code, detail)
    assert body["request_id"] == "ours"
    assert reply.record.reason == code


def test_under_v2_it_becomes_one_text(ending: Any) -> None:
    reply = ending(Problem("overloaded", "Busy.", retry_after=3), "/v2")
    assert (reply.status, reply.json()) == (503, {"error": "overloaded: Busy."})
    assert dict(reply.headers)[b"retry-after"] == b"3"
    assert dict(reply.headers)[b"x-request-id"] == b"ours"


def test_a_problem_that_is_kept_keeps_no_frames(ending: Any) -> None:
    kept = Problem("empty_image", "0 bytes.")
    ending(kept)
    assert kept.__traceback__ is None


def test_a_caller_who_has_gone_is_recorded(ending: Any) -> None:
    reply = ending(ClientGone())
    assert (reply.status, reply.body, reply.record.reason) == (499, b"", "client_gone")


def test_an_error_after_the_reply_has_begun_is_recorded(ending: Any) -> None:
    class Broken(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            raise ValueError

    reply = ending(Broken("half"))
    assert (reply.status, reply.body, reply.record.reason) == (200, b"half", "internal_error")


@pytest.mark.parametrize(
    ("target", "error"),
    [("/nothing", "code"), ("/v3", "code"), ("/v2/nothing", "error"), ("/v2x", "error")],
)
def test_a_path_that_is_in_no_row(target: str, error: str) -> None:
    reply = ask(target)
    assert reply.status == 404
    assert error in reply.json()
    assert "POST /v1/detect" in reply.body.decode()
    assert (reply.record.template, reply.record.reason) == ("other", "not_found")


@pytest.mark.parametrize("target", ["/v1/detect", "/v2/models/a/infer"])
def test_another_method_is_told_which_are_allowed(target: str) -> None:
    reply = ask(target)
    assert reply.status == 405
    assert dict(reply.headers)[b"allow"] == b"POST"


def test_what_has_no_endpoint_is_bentomls() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert RequestContext.of(scope).path == "/livez"
        await PlainTextResponse("alive")(scope, receive, send)

    assert ask("/livez", app=app).body == b"alive"


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (503, "not_ready"), (500, "internal_error")]
)
def test_an_error_of_bentomls_is_put_in_our_words(status: int, code: str) -> None:
    reply = ask("/readyz", app=PlainTextResponse("BentoML's own words", status))
    assert reply.json()["code"] == code
    assert b"BentoML" not in reply.body


def test_other_protocols_are_bentomls() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "lifespan"}
    asyncio.run(ServiceMiddleware(app, make_worker)(scope, receiver(), None))
    assert seen == [scope]
    assert SCOPE_KEY not in scope


def headers_of(*sent: RawHeader) -> list[RawHeader]:
    """Of a reply that an application sends with these."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": b""})

    return ask("/livez", app=app).headers


def test_each_reply_has_the_id_and_says_how_it_is_to_be_taken() -> None:
    assert headers_of(JSON) == [
        JSON,
        (b"vary", b"Accept-Encoding"),
        ID,
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


@pytest.mark.parametrize(
    "foreign", [(b"x-request-id", b"theirs"), (b"server", b"z"), (b"referrer-policy", b"origin")]
)
def test_what_the_middleware_sets_an_application_does_not(foreign: RawHeader) -> None:
    assert headers_of(foreign, JSON) == headers_of(JSON)


def test_several_headers_of_one_name_stay() -> None:
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert headers_of(*cookies)[:2] == cookies


def test_a_page_has_a_policy_its_own_if_it_brings_one() -> None:
    common = dict(headers_of(PAGE))
    assert b"default-src 'self'" in common[b"content-security-policy"]
    assert common[b"x-frame-options"] == b"DENY"
    own = headers_of(PAGE, (b"content-security-policy", b"default-src 'none'"))
    policies = [value for name, value in own if name == b"content-security-policy"]
    assert policies == [b"default-src 'none'"]


def test_every_row_has_an_endpoint_or_is_known_to_be_bentomls() -> None:
    def is_bentomls(row: Route) -> bool:
        return row.endpoint is None

    assert {row.template for row in routes.ROUTES if is_bentomls(row)} == {
        "/livez",
        "/readyz",
        "/healthz",
        "/schema.json",
    }
