"""Every problem has its status, its code, and what a client needs to go on."""

import json

import pytest

from service.http.replies import problem_reply
from service.problems import KINDS, Problem


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_is_a_whole_reply(code: str) -> None:
    kind = KINDS[code]
    reply = problem_reply(Problem(code, "What it was."), "some-id")
    body = json.loads(reply.body)
    assert reply.status_code == body["status"] == kind.status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"] == body["request_id"] == "some-id"
    assert (body["code"], body["detail"]) == (code, "What it was.")
    assert body["retryable"] == kind.retryable == ("retry-after" in reply.headers)
    assert ("www-authenticate" in reply.headers) == (kind.status == 401)


@pytest.mark.parametrize("code", [c for c, kind in KINDS.items() if kind.status in (429, 503, 504)])
def test_what_passes_may_be_tried_again(code: str) -> None:
    assert KINDS[code].retryable


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (59.5, "60")]
)
def test_the_time_to_wait_is_in_whole_seconds_and_never_too_short(
    seconds: float, header: str
) -> None:
    reply = problem_reply(Problem("overloaded", "Busy.", retry_after=seconds), "id")
    assert reply.headers["retry-after"] == header
