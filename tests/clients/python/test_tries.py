"""Both clients against a real server that refuses, breaks off, hangs and dribbles."""

import socket
import time

import pytest
from boxport_client import (
    ApiError,
    ConnectionFailed,
    InvalidRequest,
    Overloaded,
    RateLimited,
    RequestTimedOut,
    ServerError,
    Unauthorized,
)

from tests.clients.python.scripted import (
    ScriptedServer,
    answers,
    breaks_off,
    dribbles,
    drops,
    hangs,
    refuses,
    says,
    waits,
)

PHOTO = b"a photo"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "deed",
    [
        refuses(503, "overloaded", True),
        refuses(429, "rate_limited", True),
        refuses(422, "url_unreachable", True),
        says(502, b"<html>bad gateway</html>"),
        drops,
        breaks_off,
    ],
    ids=["503", "429", "retryable 422", "a proxy's 502", "drops", "breaks off"],
)
def test_what_passes_is_tried_again(make_client, scripted: ScriptedServer, deed) -> None:
    scripted.script = [deed, deed, deed]
    result = make_client(scripted.url).detect(PHOTO)
    assert result.detections[0].label == "cat"
    assert len(scripted.asked) == 4
    assert {asked.body for asked in scripted.asked} == {PHOTO}
    assert {asked.headers["x-request-id"] for asked in scripted.asked} == {result.request_id}
    stated = [int(asked.headers["x-request-timeout-ms"]) for asked in scripted.asked]
    assert stated == sorted(stated, reverse=True)
    assert stated[0] <= 30_000


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("deed", "kind", "tries"),
    [
        (refuses(503, "overloaded", True), Overloaded, 4),
        (refuses(429, "rate_limited", True), RateLimited, 4),
        (refuses(504, "deadline_exceeded", True), ServerError, 4),
        (refuses(500, "internal_error", False), ServerError, 1),
        (refuses(401, "unauthenticated", False), Unauthorized, 1),
        (refuses(403, "forbidden", False), Unauthorized, 1),
        (refuses(422, "invalid_image", False), InvalidRequest, 1),
        (says(408, b""), InvalidRequest, 4),
        (drops, ConnectionFailed, 4),
        (breaks_off, ConnectionFailed, 4),
    ],
)
def test_what_does_not_pass_is_raised(
    make_client, scripted: ScriptedServer, deed, kind, tries
) -> None:
    scripted.then = deed
    with pytest.raises(kind) as caught:
        make_client(scripted.url).detect(PHOTO)
    assert len(scripted.asked) == caught.value.tries == tries
    assert ("tries" in str(caught.value)) == (tries > 1)
    assert caught.value.request_id == scripted.asked[0].headers["x-request-id"]


def test_retries_can_be_none(make_client, scripted: ScriptedServer) -> None:
    scripted.then = refuses(503, "overloaded", True, Retry_After="2")
    with pytest.raises(Overloaded) as caught:
        make_client(scripted.url, retries=0).detect(PHOTO)
    assert (len(scripted.asked), caught.value.retry_after) == (1, 2.0)


@pytest.mark.usefixtures("hasty")
def test_retry_after_is_obeyed(make_client, scripted: ScriptedServer) -> None:
    scripted.script = [refuses(503, "overloaded", True, Retry_After="0.3")]
    make_client(scripted.url).detect(PHOTO)
    first, second = scripted.asked
    assert 0.3 <= second.at - first.at < 5


def test_a_refusal_that_outlasts_the_deadline_is_raised_at_once(
    make_client, scripted: ScriptedServer
) -> None:
    scripted.then = refuses(429, "rate_limited", True, Retry_After="20")
    begun = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        make_client(scripted.url, timeout=5).detect(PHOTO)
    assert time.monotonic() - begun < 4
    assert caught.value.retry_after == 20.0


@pytest.mark.parametrize("deed", [hangs, dribbles])
def test_the_timeout_is_that_of_the_whole_call(make_client, scripted: ScriptedServer, deed) -> None:
    scripted.script = [refuses(503, "overloaded", True)]
    scripted.then = deed
    begun = time.monotonic()
    with pytest.raises(RequestTimedOut, match=r"within 0.8 s") as caught:
        make_client(scripted.url, timeout=30).detect(PHOTO, timeout=0.8)
    assert 0.7 < time.monotonic() - begun < 20
    assert caught.value.tries == 2
    first, second = (int(asked.headers["x-request-timeout-ms"]) for asked in scripted.asked)
    assert second < first <= 800


@pytest.mark.usefixtures("hasty")
def test_nobody_listens(make_client) -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there, either
        taken.bind(("127.0.0.1", 0))
        lonely = make_client(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConnectionFailed, match=r"cannot reach .* \(after 4 tries\)"):
            lonely.detect(PHOTO)
        with pytest.raises(RequestTimedOut, match=r"is not ready after 0.5 s"):
            lonely.wait_until_ready(timeout=0.5)
        health = lonely.health()
        assert (health.live, health.ready) == (False, False)


def test_waiting_for_a_service_that_starts(make_client, scripted: ScriptedServer) -> None:
    not_yet = refuses(503, "not_ready", True)
    scripted.script = [not_yet, drops, not_yet]
    make_client(scripted.url).wait_until_ready(timeout=10)
    assert [asked.path for asked in scripted.asked] == ["/readyz"] * 4


def test_live_but_not_ready(make_client, scripted: ScriptedServer) -> None:
    scripted.script = [answers(), refuses(503, "not_ready", True)]
    health = make_client(scripted.url).health()
    assert (health.live, health.ready) == (True, False)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Please log in</html>", "Please log in"),
        (b'{"hello": 1}', "hello"),
        (b"[]", r"\[\]"),
        (b"", "an empty reply"),
    ],
)
def test_an_answer_of_somebody_else(make_client, scripted: ScriptedServer, body, words) -> None:
    scripted.then = says(200, body)
    with pytest.raises(ApiError, match=f"not that of a Boxport service: .*{words}") as caught:
        make_client(scripted.url).detect(PHOTO)
    assert (caught.value.status, caught.value.code) == (200, "unknown")
    assert "\n" not in str(caught.value)


def test_a_redirect_is_told_of_and_not_followed_with_the_key(
    make_client, scripted: ScriptedServer
) -> None:
    scripted.then = says(308, b"", Location="https://elsewhere.example/v1/detect")
    with pytest.raises(ApiError, match="redirects to https://elsewhere") as caught:
        make_client(scripted.url, api_key="k").detect(PHOTO)
    assert caught.value.status == 308
    assert len(scripted.asked) == 1


def test_connections_are_kept(make_client, scripted: ScriptedServer) -> None:
    ports = set()

    def note(handler) -> None:
        ports.add(handler.client_address)
        answers()(handler)

    scripted.then = note
    client = make_client(scripted.url)
    for _ in range(5):
        client.detect(PHOTO)
    assert len(ports) == 1


def test_no_more_connections_are_opened_than_there_are_calls_at_a_time(
    make_client, scripted: ScriptedServer
) -> None:
    """httpx's own limits would keep twenty, and open the others anew for each call."""
    ports = set()

    def note(handler) -> None:
        ports.add(handler.client_address)
        waits(0.2, answers())(handler)

    scripted.then = note
    client = make_client(scripted.url)
    for _ in range(3):  # between which all are idle
        outcomes = list(client.detect_many([PHOTO] * 30, concurrency=30))
        assert all(outcome.ok for outcome in outcomes)
    assert 20 < len(ports) <= 30
