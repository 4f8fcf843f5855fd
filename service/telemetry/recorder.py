"""Request recording: each request in the metrics, in the trace, and as a line of the access log."""

import logging
import random
import time

from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.record import RequestRecord
from service.telemetry.spans import Spans

# No failure, and in overload there are hundreds a second: a line for each would cost more than the
# refusal itself.
OVERLOADED = 503

access_logger = logging.getLogger("bentoml.boxport.access")


class RequestRecorder:
    """Tells metrics, spans and the access log of requests that have been replied to.

    spans: None where no collector is named.
    """

    def __init__(self, settings: Settings, metrics: Metrics, spans: Spans | None) -> None:
        self._metrics, self._spans = metrics, spans
        self._access_log = AccessLog(settings.access_log_sample, settings.slow_request_ms / 1000)

    def record(self, request: RequestRecord) -> None:
        """Record a request that ends now."""
        ended = time.perf_counter()
        seconds = ended - request.started
        self._metrics.request(
            request.template, request.model, request.status, request.reason, seconds
        )
        if self._spans is not None:
            self._spans.request(request, ended)
        self._access_log.write(request, seconds)


class AccessLog:
    """Writes a line a request: of failures and slow requests always, of the rest a sample.

    sample: share of the rest that is written, 0 to 1. Chance decides, and nothing callers send.
    slow_seconds: from here on a request is slow.
    """

    def __init__(self, sample: float, slow_seconds: float) -> None:
        self._sample = sample
        self._slow_seconds = slow_seconds

    def write(self, request: RequestRecord, seconds: float) -> None:
        """Write the line of ``request``, which took ``seconds``, if it is to be written: of a
        failure as a warning, else as info."""
        status = request.status
        failed = status >= 500 and status != OVERLOADED
        if not (failed or seconds >= self._slow_seconds or random.random() < self._sample):
            return
        level = logging.WARNING if failed else logging.INFO
        if not access_logger.isEnabledFor(level):
            return
        fields = {
            "method": request.method,
            "route": request.template,
            "status": status,
            "reason": request.reason,
            "model": request.model,
            "images": request.images,
            "milliseconds": round(seconds * 1000, 3),
            "request_bytes": request.request_bytes,
            "response_bytes": request.response_bytes,
            "caller": request.caller,
            "request_id": request.request_id,
        }
        access_logger.log(level, "%s %s %d", request.method, request.template, status, extra=fields)
