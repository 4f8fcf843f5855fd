"""Every problem has its status, its code, and what a client needs to go on."""

import json
import re

import pytest

from service.http.replies import problem_json, server_timing, v2_error
from service.problems import KINDS, Problem

METRIC = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=([!#$%&'*+.^_`|~0-9A-Za-z-]+)")


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_is_a_whole_reply(code: str) -> None:
    kind = KINDS[code]
    reply = problem_json(Problem(code, "What it was."), "some-id")
    body = json.loads(reply.body)
    assert reply.status_code == body["status"] == kind.status
    assert reply.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == "some-id"
    assert (body["code"], body["detail"]) == (code, "What it was.")
    assert body["retryable"] == kind.retryable == ("retry-after" in reply.headers)
    assert ("www-authenticate" in reply.headers) == (kind.status == 401)


@pytest.mark.parametrize("code", KINDS)
def test_under_v2_it_is_one_text_with_the_same_status_and_headers(code: str) -> None:
    problem = Problem(code, "What it was.")
    reply, other = v2_error(problem, "some-id"), problem_json(problem, "some-id")
    assert json.loads(reply.body) == {"error": f"{code}: What it was."}
    assert reply.status_code == other.status_code
    own = ("content-type", "content-length")
    assert [h for h in reply.headers.items() if h[0] not in own] == [
        h for h in other.headers.items() if h[0] not in own
    ]


@pytest.mark.parametrize("code", [c for c, kind in KINDS.items() if kind.status in (429, 503, 504)])
def test_what_passes_may_be_tried_again(code: str) -> None:
    assert KINDS[code].retryable


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (59.5, "60"), (float("inf"), "100000")],
)
def test_the_time_to_wait_is_in_whole_seconds_and_never_too_short(
    seconds: float, header: str
) -> None:
    reply = problem_json(Problem("overloaded", "Busy.", retry_after=seconds), "id")
    assert reply.headers["retry-after"] == header


def test_server_timing_has_the_stages_in_their_order_in_milliseconds() -> None:
    assert (
        server_timing({"decode": 5.312, "queue": 0.0500001}) == "decode;dur=5.312, queue;dur=0.05"
    )


def test_any_duration_is_a_token() -> None:
    stages = {"decode": 0.0, "queue": 1e-9, "inference": 123_456_789.0, "total": 7}
    parts = [METRIC.fullmatch(part) for part in server_timing(stages).split(", ")]
    assert [float(part[2]) for part in parts if part] == [0, 0, 123_456_789, 7]


def test_no_stages_give_an_empty_value() -> None:
    assert server_timing({}) == ""
