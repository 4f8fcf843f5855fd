"""Writing replies: JSON answers and problems, with the request's id in a header."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
from starlette.responses import Response

from service.engine.engine import Answer
from service.http.exchange import REQUEST_ID_HEADER, Exchange
from service.problems import MEDIA_TYPE, Problem
from service.telemetry.server_timing import server_timing

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def json_reply(
    content: Any, request_id: str, extra_headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    return Response(
        orjson.dumps(content),
        media_type="application/json",
        headers={REQUEST_ID_HEADER: request_id, **extra_headers},
    )


def problem_reply(
    problem: Problem, request_id: str, extra_headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    headers = {REQUEST_ID_HEADER: request_id, **problem_headers(problem), **extra_headers}
    return Response(
        orjson.dumps(problem.to_body(request_id)),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def problem_headers(problem: Problem) -> dict[str, str]:
    """What HTTP says of a problem beside its status."""
    headers = {}
    if problem.kind.retryable:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    if problem.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def timing_ms(answer: Answer) -> dict[str, float]:
    """Milliseconds of each stage, and "total"."""
    return {stage: round(seconds * 1000, 3) for stage, seconds in answer.seconds.items()}


def answer_reply(answer: Answer, exchange: Exchange) -> Response:
    """The answer, or the problem of the request's only image."""
    if len(answer.results) == 1 and isinstance(answer.results[0], Problem):
        exchange.reason = answer.results[0].code
        return problem_reply(answer.results[0], exchange.request_id)
    manifest = answer.manifest
    timing = timing_ms(answer)
    return json_reply(
        {
            "model": {
                "name": manifest.name,
                "version": manifest.version,
                "sha256": manifest.sha256,
            },
            "request_id": exchange.request_id,
            "results": [
                {"error": result.to_error()} if isinstance(result, Problem) else result
                for result in answer.results
            ],
            "timing_ms": timing,
        },
        exchange.request_id,
        {"Server-Timing": server_timing(timing)},
    )
