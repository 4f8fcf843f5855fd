"""Everything that the client raises.

BoxportError
├── PhotoError          the photo cannot be sent: nothing was asked
├── ConnectionFailed    the service cannot be reached
├── RequestTimedOut     the service did not answer in time
└── ApiError            the service refused; see its status and code
"""

from __future__ import annotations


class BoxportError(Exception):
    """The base of all."""


class PhotoError(BoxportError):
    """A photo that is missing, empty, or of a kind that cannot be sent."""


class ConnectionFailed(BoxportError):
    """No connection, or it broke before the answer was whole."""


class RequestTimedOut(BoxportError):
    """No answer within the client's timeout."""


class ApiError(BoxportError):
    """The service's refusal.

    status: HTTP status.
    code: stable name of the fault, such as "invalid_image"; "unknown" if the reply was not the
        service's own.
    detail: one sentence on what is wrong.
    retryable: whether the same request may succeed later.
    request_id: what the service's logs call the request, if it said.
    """

    def __init__(
        self, status: int, code: str, detail: str, retryable: bool, request_id: str | None
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.request_id = request_id
