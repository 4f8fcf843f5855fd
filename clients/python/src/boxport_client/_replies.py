"""Reading replies: the JSON of an answer, or the error that a refusal is."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from boxport_client._errors import ApiError, error_class
from boxport_client._proxies import Proxy
from boxport_client._retries import RETRYABLE_STATUSES, read_retry_after
from boxport_client._steps import Reply

T = TypeVar("T")
Json = Mapping[str, Any]

MAX_SHOWN = 200  # characters of a reply that is not the service's own
UNKNOWN = "unknown"
RANDOM_DIGITS = 24  # of the 32 in an id; the rest is their CRC-32


class ImageRefused(Exception):
    """Raised while an answer is read: it has this error in place of an image's result."""

    def __init__(self, error: Json) -> None:
        super().__init__(error["code"])
        self.error = error


def new_request_id() -> str:
    """32 hexadecimal digits; the last are a checksum, by which clients know each other's ids."""
    digits = secrets.token_hex(RANDOM_DIGITS // 2)
    return f"{digits}{zlib.crc32(digits.encode()):08x}"


def read_reply(
    reply: Reply,
    read: Callable[[Json], T],
    request_id: str,
    tries: int = 1,
    proxy: Proxy | None = None,
) -> T:
    """What ``read`` makes of the answer to the request with this id.

    proxy: that the request went through, which may have replied itself.

    Raises ApiError for a refusal, of the request or of an image in it, and for a reply that does
    not come from a service or is that of another request.
    """
    if not 200 <= reply.status < 300:
        raise _refusal(reply, request_id, tries, proxy)
    try:
        answer = json.loads(reply.content)
        _check_id(reply, answer, request_id)
        return read(answer)
    except ImageRefused as refused:
        code, detail = str(refused.error["code"]), str(refused.error.get("detail", ""))
        retryable = bool(refused.error.get("retryable", False))
        raise ApiError(reply.status, code, detail, retryable, request_id, tries=tries) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        detail = f"the reply is not that of a Boxport service: {_excerpt(reply, proxy)}"
        raise ApiError(reply.status, UNKNOWN, detail, False, request_id, tries=tries) from error


def _refusal(reply: Reply, request_id: str, tries: int, proxy: Proxy | None) -> ApiError:
    """The error that a reply of another status than 2xx stands for."""
    status, problem = reply.status, _problem(reply.content)
    if isinstance(problem.get("code"), str):
        _check_id(reply, problem, request_id)
    else:
        problem = {"code": UNKNOWN, "detail": _excerpt(reply, proxy)}
    return error_class(status)(
        status=status,
        code=problem["code"],
        detail=str(problem.get("detail", "")),
        retryable=bool(problem.get("retryable", status in RETRYABLE_STATUSES)),
        request_id=problem.get("request_id") or reply.headers.get("x-request-id", request_id),
        retry_after=read_retry_after(reply.headers.get("retry-after")),
        tries=tries,
    )


def _check_id(reply: Reply, content: Json, request_id: str) -> None:
    """Raise ApiError if this is the reply to another request, which must not pass for the answer.

    Proxies may give requests an id of their own, which the service then says in header and body
    alike; but not one that a client has made.
    """
    in_header, in_body = reply.headers.get("x-request-id"), content.get("request_id")
    stated = in_header if in_body is None else str(in_body)
    if stated in (None, request_id):
        return
    if stated == in_header and not _is_of_a_client(stated):
        return
    detail = f"the reply is that of another request, {stated}, not of {request_id}"
    raise ApiError(reply.status, UNKNOWN, detail, False, request_id)


def _is_of_a_client(request_id: str) -> bool:
    digits, checksum = request_id[:RANDOM_DIGITS], request_id[RANDOM_DIGITS:]
    return checksum == f"{zlib.crc32(digits.encode()):08x}"


def _problem(content: bytes) -> Json:
    try:
        problem = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _excerpt(reply: Reply, proxy: Proxy | None) -> str:
    """One line that lets a person guess who replied."""
    if 300 <= reply.status < 400 and "location" in reply.headers:
        return f"it redirects to {reply.headers['location']}; give the client that address"
    text = " ".join(reply.content.decode("utf-8", "replace").split())[:MAX_SHOWN]
    return (text or "an empty reply") + (f" (through the proxy {proxy})" if proxy else "")
