"""The headers that a reply leaves the gate with."""

import asyncio
from typing import Any

import pytest

from service.http.exchange import Exchange
from service.http.gate import Reply

JSON = (b"content-type", b"application/json")
PAGE = (b"content-type", b"text/html; charset=utf-8")


def headers_of(*sent: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Of a reply of 200 that an application sends with these."""
    scope = {"method": "GET", "path": "/", "headers": [(b"x-request-id", b"ours")]}
    passed: list[Any] = []

    async def send(message: Any) -> None:
        passed.append(message)

    start = {"type": "http.response.start", "status": 200, "headers": sent}
    asyncio.run(Reply(Exchange.begin(scope), send).send(start))
    return [*passed[0]["headers"]]


def test_each_reply_has_the_id_and_says_how_it_is_to_be_taken() -> None:
    assert headers_of(JSON) == [
        JSON,
        (b"x-request-id", b"ours"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


@pytest.mark.parametrize(
    "foreign", [(b"x-request-id", b"theirs"), (b"server", b"z"), (b"referrer-policy", b"origin")]
)
def test_what_the_gate_sets_an_application_does_not(foreign: tuple[bytes, bytes]) -> None:
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
