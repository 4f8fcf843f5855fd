"""Errors as RFC 9457 problem details.

Every fault that a caller can meet is one row of `KINDS`, with a stable ``code`` that programs may
rely on. `Problem` is the exception that carries one through the service.
"""

from dataclasses import dataclass
from reprlib import Repr
from typing import Any

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """What all problems of one code share.

    meaning: when it is met, in one line for whoever writes a client.
    retryable: whether the same request may succeed later.
    """

    status: int
    title: str
    meaning: str
    retryable: bool = False


KINDS: dict[str, Kind] = {
    "empty_body": Kind(
        400, "The request has no image", "The body is empty, or its list of images is."
    ),
    "malformed_body": Kind(
        400,
        "The body cannot be read",
        "The body is not what its content type says: broken JSON, a form that is cut short.",
    ),
    "unauthenticated": Kind(
        401,
        "A key is needed",
        "The service requires a key, and the request has none that is valid.",
    ),
    "forbidden": Kind(
        403,
        "The key does not allow this",
        "The key's scopes do not include this; administration needs the scope admin.",
    ),
    "url_not_allowed": Kind(
        403,
        "The URL may not be fetched",
        "Images by URL are off, or this host, port or address is not one that is allowed.",
    ),
    "model_not_found": Kind(
        404,
        "There is no such model",
        "No model of this name and version is served, or none for this task.",
    ),
    "not_found": Kind(404, "There is nothing here", "The API has no such path."),
    "method_not_allowed": Kind(
        405,
        "The endpoint does not take this method",
        "The header Allow names those that it takes.",
    ),
    "model_unloaded": Kind(
        409,
        "The model has been unloaded",
        "An operator has unloaded the model; it is served again once it is loaded.",
    ),
    "model_unfit": Kind(
        409,
        "The package cannot be loaded",
        "The model's package is damaged, unsigned where it must be signed, or does not run here.",
    ),
    "request_too_slow": Kind(
        408,
        "The request came too slowly",
        "The head took too long to arrive, or the body came at less than the least rate.",
        retryable=True,
    ),
    "body_too_large": Kind(
        413, "The request is too large", "The body has more bytes than the service accepts."
    ),
    "image_too_large": Kind(
        413,
        "The image is too large",
        "An image has more pixels, frames or parts than the service decodes; send a smaller one.",
    ),
    "too_many_images": Kind(
        413,
        "The request has too many images",
        "One request has more images than the service accepts; send several requests.",
    ),
    "too_many_regions": Kind(
        413,
        "The request has too many regions",
        "One image, or one request, has more regions than the service accepts; send several"
        " requests.",
    ),
    "url_too_large": Kind(
        413,
        "The file behind the URL is too large",
        "The file has more bytes than the service fetches.",
    ),
    "unsupported_media_type": Kind(
        415,
        "The content type is not supported",
        "By its content type, the body is neither a form nor an image nor JSON; or it is"
        " compressed in a way that is not read.",
    ),
    "invalid_parameter": Kind(
        422,
        "A parameter is wrong",
        "A value has the wrong type or range, does not suit the model, or is given twice.",
    ),
    "unknown_parameter": Kind(
        422,
        "A parameter is unknown",
        "The endpoint has no parameter of this name; unknown ones are never ignored.",
    ),
    "wrong_task": Kind(
        422,
        "The model does something else",
        "A classifier is asked to detect, or a detector to classify.",
    ),
    "empty_image": Kind(422, "The image has no bytes", "One of the images has 0 bytes."),
    "invalid_image": Kind(
        422,
        "The image cannot be decoded",
        "The bytes are not an image of a supported format, or the image is damaged or cut short.",
    ),
    "region_outside": Kind(
        422,
        "A region lies outside the image",
        "None of the image's pixels lies in one of the regions that are to be classified.",
    ),
    "url_unreachable": Kind(
        422,
        "The URL gives no image",
        "The server does not answer in time, or with another status than 200.",
        retryable=True,
    ),
    "rate_limited": Kind(
        429,
        "Too many requests",
        "The key, or the caller's address, has exceeded its rate.",
        retryable=True,
    ),
    "head_too_large": Kind(
        431,
        "The request's head is too large",
        "The request line and the headers have more bytes than the service accepts.",
    ),
    "internal_error": Kind(
        500,
        "The service failed",
        "A fault of the service; its logs say more under the request's id.",
    ),
    "overloaded": Kind(
        503,
        "The service is busy",
        "More is waiting than can be answered in time; try again after Retry-After.",
        retryable=True,
    ),
    "not_ready": Kind(
        503,
        "The service is starting or stopping",
        "The service is about to stop, or its models are not loaded yet.",
        retryable=True,
    ),
    "deadline_exceeded": Kind(
        504,
        "The deadline has passed",
        "The request's own deadline, or the service's, passed before the answer was ready.",
        retryable=True,
    ),
}


MAX_DETAIL = 2000  # characters; what a caller has sent comes back in it
_QUOTED = Repr()
_QUOTED.maxstring = _QUOTED.maxother = 60


def quoted(value: object) -> str:
    """What a caller has sent, as `repr` has it, with the middle left out if it is long."""
    return _QUOTED.repr(value)


class Problem(Exception):
    """A fault of the kind ``code``; ``detail`` is one sentence on this case, cut to `MAX_DETAIL`.

    retry_after: seconds after which another try may do better, of a retryable kind.
    """

    def __init__(self, code: str, detail: str, retry_after: float = 1.0) -> None:
        if len(detail) > MAX_DETAIL:
            detail = f"{detail[: MAX_DETAIL - 1]}…"
        super().__init__(detail)
        self.code, self.detail, self.kind = code, detail, KINDS[code]
        self.retry_after = retry_after

    def alone(self) -> "Problem":
        """Itself, without the frames that it came through: whoever keeps it would keep them, and
        with them the image's bytes, in a cycle that only the garbage collector frees."""
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
