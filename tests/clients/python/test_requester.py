"""What a call does, step by step, without a connection and with a clock that the test moves."""

import json

import httpx
import pytest
from boxport_client import ConnectionFailed, Overloaded, RequestTimedOut
from boxport_client._api import Api
from boxport_client._parameters import DetectParameters
from boxport_client._requester import MAX_STATED_MS
from boxport_client._steps import Pause, Reply, Send, Work

BUSY = Reply(503, httpx.Headers(), b"busy")


def answer_to(send: Send) -> Reply:
    content = {
        "model": {"name": "m", "version": "1", "sha256": "0"},
        "request_id": send.request.headers["x-request-id"],
        "timing_ms": {},
        "results": [{"width": 4, "height": 3, "detections": []}],
    }
    return Reply(200, httpx.Headers(), json.dumps(content).encode())


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def begin(clock: Clock, timeout: float = 10.0, retries: int = 3, **given):
    service = Api(
        "http://u:secret@host:1/base/", given.pop("api_key", None), timeout, retries, None, clock
    )
    return service.detect(b"photo", DetectParameters(**given), None)


def stated(send: Send) -> int:
    return int(send.request.headers["x-request-timeout-ms"])


def test_the_request() -> None:
    clock = Clock()
    talk = begin(clock, labels=["a b", "c"], class_agnostic=True, score_threshold=0.5, api_key="k")
    first = next(talk)
    request = first.request
    assert request.method == "POST"
    assert request.url.path == "/base/v1/detect"
    assert list(request.url.params.multi_items()) == [
        ("score_threshold", "0.5"),
        ("class_agnostic", "true"),
        ("labels", "a b"),
        ("labels", "c"),
    ]
    assert request.read() == b"photo"
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["content-type"] == "application/octet-stream"
    assert request.headers["user-agent"].startswith("boxport-client/")
    assert " python/3." in request.headers["user-agent"]
    assert "x-request-priority" not in request.headers
    with pytest.raises(StopIteration) as done:
        talk.send(answer_to(first))
    assert done.value.value.width == 4


def test_the_deadline_is_one_for_all_tries() -> None:
    clock = Clock()
    talk = begin(clock)
    first = next(talk)
    assert (stated(first), first.until) == (10_000, 1010.0)
    clock.time += 4
    pause = talk.send(BUSY)
    assert isinstance(pause, Pause)
    clock.time += 1
    second = next(talk)
    assert (stated(second), second.until) == (5000, 1010.0)
    assert second.request.extensions["timeout"]["read"] == 5.0
    assert second.request.headers["x-request-id"] == first.request.headers["x-request-id"]
    clock.time += 4.999999999  # no pause fits any more
    with pytest.raises(Overloaded) as caught:
        talk.send(BUSY)
    assert caught.value.tries == 2


def test_more_than_the_service_takes_is_not_stated() -> None:
    assert stated(next(begin(Clock(), timeout=600.0))) == MAX_STATED_MS


def test_an_overslept_pause_ends_the_call_with_what_was_met() -> None:
    clock = Clock()
    talk = begin(clock)
    next(talk)
    assert isinstance(talk.send(BUSY), Pause)
    clock.time += 20
    with pytest.raises(Overloaded):
        next(talk)


def test_time_that_is_over_before_anything_is_sent() -> None:
    clock = Clock()
    service = Api("http://host", None, 1.0, 3, None, clock)
    talk = service.detect("cat.jpg", DetectParameters(), None)
    assert isinstance(next(talk), Work)
    clock.time += 2
    with pytest.raises(RequestTimedOut, match="within 1 s"):
        talk.send(b"photo")


def test_connecting_gets_a_part_of_the_time_and_is_tried_again() -> None:
    clock = Clock()
    talk = begin(clock, timeout=60.0)
    first = next(talk)
    assert first.request.extensions["timeout"]["connect"] == 5.0
    clock.time += 5
    assert isinstance(talk.throw(httpx.ConnectTimeout("too slow")), Pause)
    next(talk)
    clock.time += 100
    with pytest.raises(RequestTimedOut) as caught:
        talk.throw(httpx.ConnectTimeout("too slow"))
    assert caught.value.tries == 2
    assert "after 2 tries" in str(caught.value)


def test_retries_are_counted() -> None:
    clock = Clock()
    talk = begin(clock, timeout=1e6, retries=2)
    next(talk)
    for _ in range(2):
        assert isinstance(talk.throw(httpx.ReadError("reset")), Pause)
        assert isinstance(next(talk), Send)
    with pytest.raises(ConnectionFailed, match=r"reset \(after 3 tries\)") as caught:
        talk.throw(httpx.ReadError("reset"))
    assert "secret" not in str(caught.value)


def test_what_would_be_the_same_again_is_not_tried_again() -> None:
    talk = begin(Clock())
    next(talk)
    with pytest.raises(ConnectionFailed):
        talk.throw(httpx.DecodingError("no gzip"))
