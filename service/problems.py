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
    "unauthenticated": Kind(401, "A key is needed"),
    "forbidden": Kind(403, "The key does not allow this"),
    "url_not_allowed": Kind(403, "The URL may not be fetched"),
    "model_not_found": Kind(404, "There is no such model"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "The method is not the endpoint's"),
    "model_unloaded": Kind(409, "The model has been unloaded"),
    "model_unfit": Kind(409, "The package cannot be loaded"),
    "body_too_large": Kind(413, "The request is too large"),
    "image_too_large": Kind(413, "The image has too many pixels"),
    "too_many_images": Kind(413, "The request has too many images"),
    "url_too_large": Kind(413, "The file behind the URL is too large"),
    "unsupported_media_type": Kind(415, "The content type is not supported"),
    "invalid_parameter": Kind(422, "A parameter is wrong"),
    "unknown_parameter": Kind(422, "A parameter is unknown"),
    "wrong_task": Kind(422, "The model does something else"),
    "empty_image": Kind(422, "The image has no bytes"),
    "invalid_image": Kind(422, "The image cannot be decoded"),
    "url_unreachable": Kind(422, "The URL gives no image", retryable=True),
    "rate_limited": Kind(429, "Too many requests", retryable=True),
    "internal_error": Kind(500, "The service failed"),
    "overloaded": Kind(503, "The service is busy", retryable=True),
    "not_ready": Kind(503, "The service is starting or stopping", retryable=True),
    "deadline_exceeded": Kind(504, "The request's time is over", retryable=True),
}


class Problem(Exception):
    """A fault of the kind ``code``; ``detail`` is one sentence on this case of it.

    retry_after: seconds after which another try may do better, of a retryable kind.
    """

    def __init__(self, code: str, detail: str, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.code, self.detail, self.kind = code, detail, KINDS[code]
        self.retry_after = retry_after

    def alone(self) -> "Problem":
        """Itself, without the frames that it came through: whoever keeps it would keep them, and
        with them the image's bytes, in a ring that only the collector undoes."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

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
