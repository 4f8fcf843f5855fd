"""Replies: the answer of a model as JSON, and problems in each protocol's shape."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.background import BackgroundTask
from starlette.responses import Response

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.manifest import ModelManifest
from service.problems import MEDIA_TYPE, Problem

JSON_TYPE = "application/json"
MAX_RETRY_AFTER = 100_000.0  # seconds
# Browsers show it beside a request.
TIMING_HEADER = "Server-Timing"

# How a protocol shapes errors: the reply of a problem to the request of an id.
Dialect = Callable[[Problem, str], Response]


def json_reply(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), media_type=JSON_TYPE, headers=headers)


def problem_json(problem: Problem, request_id: str) -> Response:
    """Problem details, as RFC 9457 has them."""
    return _error(problem, problem.to_body(request_id), MEDIA_TYPE)


def v2_error(problem: Problem, request_id: str) -> Response:
    """One text, as the Open Inference Protocol has it; the id is in the headers alone."""
    return _error(problem, {"error": f"{problem.code}: {problem.detail}"}, JSON_TYPE)


def answer_reply(answer: Answer, request_id: str) -> Response:
    """The results of a request to /v1; raises the Problem of its only image."""
    if len(answer.results) == 1 and isinstance(answer.results[0], Problem):
        raise answer.results[0]
    timing = timing_ms(answer)
    then = {} if answer.then is None else {"then": _reference(answer.then)}
    return json_reply(
        {
            "model": _reference(answer.manifest),
            **then,
            "request_id": request_id,
            "results": [
                {"error": result.to_error()} if isinstance(result, Problem) else result
                for result in answer.results
            ],
            "timing_ms": timing,
        },
        {TIMING_HEADER: server_timing(timing)},
    )


def _reference(manifest: ModelManifest) -> dict[str, str]:
    return {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256}


def with_sample(response: Response, answer: Answer, engine: Engine) -> Response:
    """``response``; once it is sent, the request goes to the other version of a model on trial, if
    it is to."""
    if answer.sample is not None:
        response.background = BackgroundTask(engine.shadows.offer, answer.sample)
    return response


def timing_ms(answer: Answer) -> dict[str, float]:
    """Milliseconds of each stage, and "total"."""
    return {stage: round(seconds * 1000, 3) for stage, seconds in answer.seconds.items()}


def server_timing(milliseconds: Mapping[str, float]) -> str:
    """The value of `TIMING_HEADER`, as W3C's Server Timing has it: ``decode;dur=5.312, …``.

    The names must be tokens of HTTP, as those of `timing_ms` are.
    """
    return ", ".join(f"{name};dur={round(value, 3)}" for name, value in milliseconds.items())


def _error(problem: Problem, content: Any, media_type: str) -> Response:
    headers = {}
    if problem.kind.retryable:
        seconds = min(max(problem.retry_after, 1.0), MAX_RETRY_AFTER)
        headers["Retry-After"] = str(math.ceil(seconds))
    if problem.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(content), problem.kind.status, headers, media_type)
