"""What every request has, whatever protocol it came by: an id, a schedule, a record."""

import re
from contextvars import copy_context

import pytest

from service.engine.pipelines import Times
from service.inference.deadline import Priority
from service.package import PackageError
from service.problems import Problem
from service.request import answering, choose_id, read_policy, stages_of, to_problem
from service.settings import Settings
from service.telemetry.logs import request_id
from service.telemetry.record import Stage
from tests.service.http.asgi import begin

SETTINGS = Settings(request_timeout_ms=2000, max_request_timeout_ms=60_000)


def test_a_harmless_id_of_the_caller_is_kept() -> None:
    assert choose_id({"x-request-id": "order-66.a"}) == "order-66.a"


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "café", "a\r\nb"])
def test_another_id_is_replaced_by_a_new_one(given: str) -> None:
    first, second = (choose_id({"x-request-id": given}) for _ in range(2))
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


# -- while it is answered, and after


def test_a_stop_waits_for_it_and_then_it_is_recorded() -> None:
    request = begin("/v1/models")

    def fail() -> None:
        with answering(request):
            assert request.worker.lifecycle.in_flight == {request}
            assert request_id.get() == request.request_id
            assert not request.worker.recorder.records
            raise ValueError("of the endpoint")

    with pytest.raises(ValueError, match="of the endpoint"):
        copy_context().run(fail)
    assert not request.worker.lifecycle.in_flight
    assert request.worker.recorder.records == [request]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (Problem("empty_image", "0 bytes."), "empty_image", "0 bytes."),
        (PackageError("pets/1: damaged"), "model_unfit", "pets/1: damaged"),
        (ValueError("secret"), "internal_error", "The service failed."),
    ],
)
def test_whatever_ends_it_is_a_problem(error: Exception, code: str, detail: str) -> None:
    problem = to_problem(error, begin("/v1/models"))
    assert (problem.code, problem.detail) == (code, detail)
