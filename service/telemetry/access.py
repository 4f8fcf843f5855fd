"""The access log: what was asked, and how it went."""

import logging
import zlib

# No failure, and in overload there are hundreds a second: a line for each would cost more than the
# refusal itself.
BUSY = 503

_logger = logging.getLogger("bentoml.boxport.access")


class AccessLog:
    """Writes a line a request: of failures and slow requests always, of the rest a sample.

    sample: share of the rest that is written, 0 to 1. The request's id decides, so that all
        servers that see one id write it, or none.
    slow_seconds: from here on a request is slow.

    A key, a body or a query has no way in; what names the caller must not be its key.
    """

    def __init__(self, sample: float, slow_seconds: float) -> None:
        self._below = sample * 2**32
        self._slow_seconds = slow_seconds

    def write(
        self,
        *,
        request_id: str,
        method: str,
        route: str,
        status: int,
        reason: str,
        seconds: float,
        request_bytes: int,
        response_bytes: int,
        model: str | None = None,
        images: int = 0,
        caller: str | None = None,
    ) -> None:
        """Write the request's line if it is to be written: of a failure as a warning, else as info.

        route: the route's template, never the path or the query.
        reason: the problem's code, or "ok".
        caller: the name that the key was given, or None.
        """
        failed = status >= 500 and status != BUSY
        if not (failed or seconds >= self._slow_seconds or self._sampled(request_id)):
            return
        level = logging.WARNING if failed else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "reason": reason,
            "model": model,
            "images": images,
            "milliseconds": round(seconds * 1000, 3),
            "request_bytes": request_bytes,
            "response_bytes": response_bytes,
            "caller": caller,
            "request_id": request_id,
        }
        _logger.log(level, "%s %s %d", method, route, status, extra=fields)

    def _sampled(self, request_id: str) -> bool:
        return zlib.crc32(request_id.encode()) < self._below
