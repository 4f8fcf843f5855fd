"""Errors as RFC 9457 problem details.

Every fault that a caller can meet is one row of `KINDS`, with a stable ``code`` that programs may
rely on. `Problem` is the exception that carries one through the service.
"""

from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """What all problems of one code share. ``retryable``: the same request may succeed later."""

    status: int
    title: str
    retryable: bool = False


KINDS: dict[str, Kind] = {
    "empty_body": Kind(400, "The request has no image"),
    "malformed_body": Kind(400, "The body cannot be read"),
    "url_not_allowed": Kind(403, "Images by URL are off"),
    "model_not_found": Kind(404, "There is no such model"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "The method is not the endpoint's"),
    "body_too_large": Kind(413, "The request is too large"),
    "image_too_large": Kind(413, "The image has too many pixels"),
    "too_many_images": Kind(413, "The request has too many images"),
    "unsupported_media_type": Kind(415, "The content type is not supported"),
    "invalid_parameter": Kind(422, "A parameter is wrong"),
    "unknown_parameter": Kind(422, "A parameter is unknown"),
    "wrong_task": Kind(422, "The model does something else"),
    "empty_image": Kind(422, "The image has no bytes"),
    "invalid_image": Kind(422, "The image cannot be decoded"),
    "internal_error": Kind(500, "The service failed"),
    "overloaded": Kind(503, "The service is busy", retryable=True),
}


class Problem(Exception):
    """A fault of the kind ``code``; ``detail`` is one sentence on this case of it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail, self.kind = code, detail, KINDS[code]

    def to_error(self) -> dict[str, Any]:
        """The fields that stand in the place of one image's result."""
        return {"code": self.code, "detail": self.detail, "retryable": self.kind.retryable}

    def to_body(self, request_id: str) -> dict[str, Any]:
        """The whole problem details object."""
        return {
            "type": "about:blank",
            "title": self.kind.title,
            "status": self.kind.status,
            **self.to_error(),
            "request_id": request_id,
        }
