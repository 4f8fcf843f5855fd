"""What is known of a request over HTTP before its body is read, and what it waits for."""

import asyncio
from typing import Any

import pytest

from service.http.context import ClientGone, RequestContext, read_headers
from tests.service.http.asgi import DISCONNECT, begin

JPEG, FORM, JSON = "image/jpeg", "multipart/form-data; boundary=x", "application/json"


def test_of_several_headers_of_one_name_the_first_counts() -> None:
    raw = [(b"x-api-key", b"one"), (b"accept", b"*/*"), (b"x-api-key", b"two")]
    assert read_headers(raw) == {"x-api-key": "one", "accept": "*/*"}


def test_bytes_that_are_no_text_are_read_all_the_same() -> None:
    assert read_headers([(b"x-name", b"caf\xe9")]) == {"x-name": "café"}


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
