"""Writing replies: JSON answers and problems, with the request's id in a header."""

import re
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.engine.engine import Answer
from service.problems import MEDIA_TYPE, Problem

REQUEST_ID_HEADER = "X-Request-ID"
RETRY_AFTER_SECONDS = "1"
_ACCEPTED_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def request_id_of(request: Request) -> str:
    """The caller's own id of the request if it sent a harmless one, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex


def json_reply(content: Any, request_id: str) -> Response:
    return Response(
        orjson.dumps(content),
        media_type="application/json",
        headers={REQUEST_ID_HEADER: request_id},
    )


def problem_reply(
    problem: Problem, request_id: str, extra_headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    headers = {REQUEST_ID_HEADER: request_id, **extra_headers}
    if problem.kind.retryable:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return Response(
        orjson.dumps(problem.to_body(request_id)),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def answer_reply(answer: Answer, request_id: str) -> Response:
    """The answer, or the problem of the request's only image."""
    if len(answer.results) == 1 and isinstance(answer.results[0], Problem):
        return problem_reply(answer.results[0], request_id)
    manifest = answer.manifest
    return json_reply(
        {
            "model": {
                "name": manifest.name,
                "version": manifest.version,
                "sha256": manifest.sha256,
            },
            "request_id": request_id,
            "results": [
                {"error": result.to_error()} if isinstance(result, Problem) else result
                for result in answer.results
            ],
            "timing_ms": answer.timing_ms,
        },
        request_id,
    )
