"""Reading replies: the JSON of an answer, or the error that a refusal is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from boxport_client._errors import ApiError, error_class
from boxport_client._retries import RETRYABLE_STATUSES, read_retry_after
from boxport_client._steps import Reply

T = TypeVar("T")
MAX_SHOWN = 200  # characters of a reply that is not the service's own
UNKNOWN = "unknown"


def read_answer(reply: Reply, read: Callable[[Mapping[str, Any]], T], request_id: str) -> T:
    """What ``read`` makes of the answer; raises ApiError if it does not come from a service."""
    try:
        return read(json.loads(reply.content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        detail = f"the reply is not that of a Boxport service: {_excerpt(reply)}"
        raise ApiError(reply.status, UNKNOWN, detail, False, request_id) from error


def refusal(reply: Reply, request_id: str, tries: int) -> ApiError:
    """The error that a reply of another status than 2xx stands for."""
    problem = _problem(reply.content)
    status = reply.status
    if not isinstance(problem.get("code"), str):
        problem = {"code": UNKNOWN, "detail": _excerpt(reply)}
    return error_class(status)(
        status=status,
        code=problem["code"],
        detail=str(problem.get("detail", "")),
        retryable=bool(problem.get("retryable", status in RETRYABLE_STATUSES)),
        request_id=problem.get("request_id") or reply.headers.get("x-request-id", request_id),
        retry_after=read_retry_after(reply.headers.get("retry-after")),
        tries=tries,
    )


def image_refusal(error: Mapping[str, Any], request_id: str) -> ApiError:
    """The error that stands in the place of one image's result among several."""
    return ApiError(200, error["code"], error["detail"], bool(error["retryable"]), request_id)


def _problem(content: bytes) -> Mapping[str, Any]:
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _excerpt(reply: Reply) -> str:
    """One line that lets a person guess who replied."""
    if 300 <= reply.status < 400 and "location" in reply.headers:
        return f"it redirects to {reply.headers['location']}; give the client that address"
    text = reply.content.decode("utf-8", "replace")
    return " ".join(text.split())[:MAX_SHOWN] or "an empty reply"
