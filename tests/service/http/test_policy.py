"""How long a request may take and who goes first, as its headers say."""

import pytest

from service.http.policy import read_policy
from service.inference.deadline import Priority
from service.problems import Problem
from service.settings import Settings

SETTINGS = Settings(request_timeout_ms=2000, max_request_timeout_ms=60_000)


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
    with pytest.raises(Problem, match="milliseconds from 1 on") as caught:
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
