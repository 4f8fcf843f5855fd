"""How the OpenAPI description shows replies: answers, and the problems that a route may meet."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from service.http.openapi.json_schemas import reference
from service.http.openapi.schemas import ProblemDetails
from service.http.replies import TIMING_HEADER
from service.problems import KINDS, MEDIA_TYPE
from service.request import REQUEST_ID_HEADER

Description = dict[str, Any]

RETRY_HEADER = "Retry-After"
CHALLENGE_HEADER = "WWW-Authenticate"


def replies(answer: Description, codes: Collection[str]) -> Description:
    """The reply with ``answer``, and one for each status of the problems called ``codes``."""
    of_status: dict[int, list[str]] = {}
    for code, kind in KINDS.items():
        if code in codes:
            of_status.setdefault(kind.status, []).append(code)
    problems = {str(status): _problem(named) for status, named in sorted(of_status.items())}
    return {"200": answer, **problems}


def json_reply(
    about: str, shape: type[BaseModel] | Description, examples: Description, *headers: str
) -> Description:
    schema = shape if isinstance(shape, dict) else reference(shape)
    return {
        "description": about,
        "headers": _headers(*headers),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def text_reply(about: str) -> Description:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"description": about, "headers": _headers(), "content": content}


def _problem(codes: list[str]) -> Description:
    """One of ``codes``, which all have the same status."""
    kinds = [KINDS[code] for code in codes]
    extra = []
    if any(kind.retryable for kind in kinds):
        extra.append(RETRY_HEADER)
    if "unauthenticated" in codes:
        extra.append(CHALLENGE_HEADER)
    return {
        "description": "\n".join(f"* `{code}`: {KINDS[code].meaning}" for code in codes),
        "headers": _headers(*extra),
        "content": {
            MEDIA_TYPE: {
                "schema": reference(ProblemDetails),
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _headers(*extra: str) -> Description:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (REQUEST_ID_HEADER, *extra)}


def header_components() -> Description:
    return {
        REQUEST_ID_HEADER: {
            "description": "The caller's own id of the request, or a new one.",
            "required": True,
            "schema": {"type": "string", "pattern": r"^[\w.:-]{1,128}$"},
        },
        "Retry-After": {
            "description": "Seconds after which another try may do better.",
            "schema": {"type": "integer", "minimum": 1},
        },
        TIMING_HEADER: {
            "description": "`timing_ms` as browsers read it: decode;dur=5.312, queue;dur=0.05, …",
            "schema": {"type": "string"},
        },
        "WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}},
    }
