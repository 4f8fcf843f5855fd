"""Everything that the client raises.

BoxportError
├── PhotoError            the photo cannot be read or sent: no request was made
├── JournalError          the journal of a run cannot be used: no request was made
├── MissingExtra          an optional package is not installed
├── ClientClosed          the client has been closed: no request was made
├── ConnectionFailed      the service cannot be reached, or the connection broke
├── RequestTimedOut       no answer within the call's timeout
└── ApiError              the service refused; see its status and code
    ├── InvalidRequest    4xx: the photo, a parameter or the model is wrong
    ├── Unauthorized      401, 403: the key is missing, or does not allow it
    ├── RateLimited       429: too many requests with this key
    ├── Overloaded        503: the service is busy, starting or stopping
    └── ServerError       other 5xx: the service, or a proxy before it, failed

Arguments that are wrong whatever the service says raise ValueError or TypeError.
"""

from __future__ import annotations

from typing import Any


class BoxportError(Exception):
    """The base class of everything that the client raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors are pickled between processes without calling ``__init__``, which differ."""
        return _rebuild, (type(self), self.args, self.__dict__)


class PhotoError(BoxportError):
    """A photo is missing, empty, cannot be decoded, or is of a type that cannot be sent."""


class JournalError(BoxportError):
    """A journal is not a journal, has other parameters, is damaged, or cannot be written."""


class MissingExtra(BoxportError):
    """An optional package is not installed; the message says how to install it."""


class ClientClosed(BoxportError, RuntimeError):
    """The client has been closed, and sends nothing more."""


class Unanswered(BoxportError):
    """What ConnectionFailed and RequestTimedOut share.

    request_id: the ``X-Request-ID`` of all tries of the call.
    tries: how often the request was sent.
    retryable: whether the same call may succeed later; not if a certificate is not trusted.
    """

    def __init__(
        self,
        message: str,
        request_id: str | None = None,
        tries: int = 1,
        retryable: bool = True,
    ) -> None:
        super().__init__(message + _after(tries))
        self.request_id = request_id
        self.tries = tries
        self.retryable = retryable


class ConnectionFailed(Unanswered):
    """No connection, or it broke before the answer was complete."""


class RequestTimedOut(Unanswered):
    """No answer within the call's timeout, all its tries together."""


class ApiError(BoxportError):
    """The service refused the request.

    status: the HTTP status; 200 if an answer on several images has this error for one of them.
    code: the error's stable name, such as "invalid_image"; "unknown" if the reply was not the
        service's own.
    detail: one sentence on what is wrong.
    retryable: whether the same request may succeed later.
    request_id: the request's id in the service's logs.
    retry_after: seconds to wait before the next try, if the service said so.
    tries: how often the request was sent.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        retryable: bool,
        request_id: str | None,
        retry_after: float | None = None,
        tries: int = 1,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}{_after(tries)}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.request_id = request_id
        self.retry_after = retry_after
        self.tries = tries


class InvalidRequest(ApiError):
    """The photo or a parameter is wrong, or the model is unknown: another try would fail too."""


class Unauthorized(ApiError):
    """The API key is missing or wrong, or does not allow this request."""


class RateLimited(ApiError):
    """Too many requests with this key; see ``retry_after``."""


class Overloaded(ApiError):
    """The service is busy, starting or stopping; see ``retry_after``."""


class ServerError(ApiError):
    """The service, or a proxy before it, failed or was too slow."""


def error_class(status: int) -> type[ApiError]:
    """The class of errors of an HTTP ``status``."""
    named = {401: Unauthorized, 403: Unauthorized, 429: RateLimited, 503: Overloaded}
    if status in named:
        return named[status]
    if 400 <= status < 500:
        return InvalidRequest
    return ServerError if status >= 500 else ApiError


def _after(tries: int) -> str:
    return f" (after {tries} tries)" if tries > 1 else ""


def _rebuild(
    kind: type[BoxportError], args: tuple[Any, ...], state: dict[str, Any]
) -> BoxportError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
