"""What is known of a request before and after it is answered, and what it waits for."""

import asyncio
import re
from typing import Any

import pytest

from service.engine.engine import Times
from service.http.context import ClientGone, RequestContext, read_headers, read_policy, stages_of
from service.inference.deadline import Priority
from service.problems import Problem
from service.settings import Settings
from service.telemetry.record import Stage
from tests.service.http.asgi import DISCONNECT, begin

SETTINGS = Settings(request_timeout_ms=2000, max_request_timeout_ms=60_000)
JPEG, FORM, JSON = "image/jpeg", "multipart/form-data; boundary=x", "application/json"


def test_of_several_headers_of_one_name_the_first_counts() -> None:
    raw = [(b"x-api-key", b"one"), (b"accept", b"*/*"), (b"x-api-key", b"two")]
    assert read_headers(raw) == {"x-api-key": "one", "accept": "*/*"}


def test_bytes_that_are_no_text_are_read_all_the_same() -> None:
    assert read_headers([(b"x-name", b"caf\xe9")]) == {"x-name": "café"}


def test_a_harmless_id_of_the_caller_is_kept() -> None:
    assert begin("/v1/models", (b"x-request-id", b"order-66.a")).request_id == "order-66.a"


@pytest.mark.parametrize("given", [b"", b"two words", b"x" * 129, b"caf\xe9", b"a\r\nb"])
def test_another_id_is_replaced_by_a_new_one(given: bytes) -> None:
    first, second = (begin("/v1/models", (b"x-request-id", given)).request_id for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


def test_stages_follow_one_upon_the_other_in_each_image() -> None:
    assert list(stages_of([])) == []
    times = [Times(1.0, {"queue": 0.5, "decode": 0.25, "inference": 1.0}), Times(2.0)]
    assert list(stages_of(times)) == [
        Stage("queue", 1.0, 1.5, 0),
        Stage("decode", 1.5, 1.75, 0),
        Stage("infer", 1.75, 2.75, 0),
    ]


# -- which model it is for


def reference_of(target: str, content_type: str | None) -> tuple[str | None, bool]:
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    return begin(target, *headers, method="POST").head_reference


@pytest.mark.parametrize(
    ("target", "content_type", "expected"),
    [
        ("/v1/detect", JPEG, None),
        ("/v1/detect", "Application/Octet-Stream; x=1", None),
        ("/v1/detect?model=a/2&top_k=1", JPEG, "a/2"),
        ("/v1/classify?model=a%2F2", JPEG, "a/2"),
        ("/v1/classify?model=a", FORM, "a"),
        ("/v2/models/a/infer", JSON, "a"),
        ("/v2/models/a/versions/2/infer", "image/jpeg", "a/2"),
    ],
)
def test_the_head_says_which_model_it_is_for(
    target: str, content_type: str, expected: str | None
) -> None:
    assert reference_of(target, content_type) == (expected, True)


@pytest.mark.parametrize(
    ("target", "content_type"),
    [
        ("/v1/detect", FORM),
        ("/v1/detect?labels=cat", JSON),
        ("/v1/detect", None),
        ("/v1/detect?model=a&model=b", JPEG),
    ],
)
def test_the_body_may_say_another(target: str, content_type: str | None) -> None:
    _, certain = reference_of(target, content_type)
    assert not certain


# -- how it is scheduled


def test_without_headers_the_settings_hold() -> None:
    policy = read_policy({}, SETTINGS)
    assert policy.deadline.granted == 2.0
    assert 1.9 < policy.deadline.remaining <= 2.0
    assert policy.priority is Priority.INTERACTIVE


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 0.001), ("250", 0.25), ("060000", 60.0), ("60000", 60.0)]
)
def test_a_request_may_say_how_long_it_has(text: str, seconds: float) -> None:
    headers = {"x-request-timeout-ms": text}
    assert read_policy(headers, SETTINGS).deadline.granted == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1.5",
        "1e3",
        "five",
        " 5",
        "²",
        "1_000",
        "+5",
        "9" * 13,
        "9" * 100,
        "0" * 11 + "1" + "9" * 9,
        "1" + "0" * 5000,
    ],
)
def test_any_other_time_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(Problem, match="milliseconds, 1 or more") as caught:
        read_policy({"x-request-timeout-ms": text}, SETTINGS)
    assert caught.value.code == "invalid_parameter"
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("text", ["60001", "9" * 12])
def test_who_would_wait_longer_gets_the_longest_there_is(text: str) -> None:
    headers = {"x-request-timeout-ms": text}
    assert read_policy(headers, SETTINGS).deadline.granted == 60.0


def test_bulk_says_so() -> None:
    assert read_policy({"x-request-priority": "bulk"}, SETTINGS).priority is Priority.BULK


@pytest.mark.parametrize("text", ["", "BULK", "high", "0"])
def test_any_other_priority_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="send interactive or bulk") as caught:
        read_policy({"x-request-priority": text}, SETTINGS)
    assert caught.value.code == "invalid_parameter"


# -- its body, and its caller


def part(content: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


async def body_of(context: RequestContext) -> bytes:
    return b"".join([chunk async for chunk in context.stream()])


def test_a_body_is_read_to_its_end_and_counted() -> None:
    messages = [part(b"abc", True), part(b"", True), part(b"de", False), part(b"x", False)]
    context = begin("/v1/detect", messages=messages)
    assert asyncio.run(body_of(context)) == b"abcde"
    assert context.request_bytes == 5


def test_a_caller_who_goes_before_the_end_of_the_body_is_gone() -> None:
    context = begin("/v1/detect", messages=[part(b"abc", True), DISCONNECT])
    with pytest.raises(ClientGone):
        asyncio.run(body_of(context))


async def outlast(seconds: float, ended: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise
    return "done"


def test_work_is_cancelled_once_the_caller_has_gone() -> None:
    ended: list[str] = []
    with pytest.raises(ClientGone):
        asyncio.run(begin("/v1/detect").while_connected(outlast(10, ended)))
    assert ended == ["cancelled"]


def test_work_that_is_done_soon_is_done_whoever_has_gone() -> None:
    assert asyncio.run(begin("/v1/detect").while_connected(outlast(0.01, []))) == "done"


def test_work_that_fails_by_its_own_timeout_is_not_a_caller_who_has_gone() -> None:
    async def fail() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(begin("/v1/detect").while_connected(fail()))


def test_who_cancels_the_request_hears_so() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(begin("/v1/detect").while_connected(outlast(10, [])))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())
