"""OpenTelemetry spans of a request and of its images' stages.

They are made when the reply has gone, from times that were measured anyway:

    POST /v1/detect   ├──────────────────────────────┤   child of the caller's traceparent
      decode            ├────┤
      queue                   ├───┤
      infer                        ├───────────────┤
"""

import logging
import os
import threading
import time
from importlib.metadata import entry_points, version

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.telemetry.record import OK, RequestRecord

_logger = logging.getLogger("bentoml.boxport.spans")
_PARENT = TraceContextTextMapPropagator()
# Packages of exporters by their protocol; each registers itself under the name that follows.
_EXPORTERS = {
    "http/protobuf": ("opentelemetry-exporter-otlp-proto-http", "otlp_proto_http"),
    "grpc": ("opentelemetry-exporter-otlp-proto-grpc", "otlp_proto_grpc"),
}


class Spans:
    """Makes spans of requests and hands them to ``processor``.

    Which requests are sampled, OTEL_TRACES_SAMPLER and the caller's traceparent decide; what the
    service is called, OTEL_SERVICE_NAME, else "boxport".
    """

    def __init__(self, processor: SpanProcessor) -> None:
        named = Resource.create({SERVICE_NAME: "boxport"})
        self._provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("boxport")

    def request(self, record: RequestRecord, ended: float) -> None:
        """Make the span of a request that ended at ``ended``, by `time.perf_counter`, and one for
        each of its stages below it.

        The headers traceparent and tracestate are read.
        """
        epoch = time.time_ns() - time.perf_counter_ns()
        attributes: dict[str, str | int] = {
            HTTP_REQUEST_METHOD: record.method,
            HTTP_ROUTE: record.template,
            HTTP_RESPONSE_STATUS_CODE: record.status,
            "boxport.request_id": record.request_id,
        }
        if record.model is not None:
            attributes["boxport.model"] = record.model
        if record.reason != OK:
            attributes[ERROR_TYPE] = record.reason
        span = self._tracer.start_span(
            f"{record.method} {record.template}",
            _PARENT.extract(record.headers),
            SpanKind.SERVER,
            attributes,
            start_time=epoch + _nanoseconds(record.started),
        )
        if not span.is_recording():
            return
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR, record.reason))
        within = set_span_in_context(span)
        for stage in record.stages:
            child = self._tracer.start_span(
                stage.name,
                within,
                attributes={"boxport.image": stage.image},
                start_time=epoch + _nanoseconds(stage.started),
            )
            child.end(epoch + _nanoseconds(stage.ended))
        span.end(epoch + _nanoseconds(ended))

    def close(self, seconds: float = 2.0) -> None:
        """Send what has not been sent, in ``seconds`` at most; nothing is recorded after."""
        # the SDK itself would wait for a collector that is away until its retries end
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(seconds)


def open_spans() -> Spans | None:
    """Spans for the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, else None.

    All else is the SDK's and the exporter's, set by their own OTEL_ variables. What is wrong with
    them, or that the exporter is not installed, is logged, and there are none.
    """
    if _variable(OTEL_SDK_DISABLED) == "true" or _variable("OTEL_TRACES_EXPORTER") == "none":
        return None
    variables = (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT)
    variable = next((name for name in variables if _variable(name)), None)
    if variable is None:
        return None
    try:
        return Spans(BatchSpanProcessor(_exporter()))
    except Exception as error:  # whatever else it is, the service can do without
        _logger.warning("spans are off, though %s is set: %s", variable, error)
        return None


def _exporter() -> SpanExporter:
    protocol = (
        _variable(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL)
        or _variable(OTEL_EXPORTER_OTLP_PROTOCOL)
        or "http/protobuf"
    )
    if protocol not in _EXPORTERS:
        known = " or ".join(_EXPORTERS)
        raise ValueError(f"{OTEL_EXPORTER_OTLP_PROTOCOL}={protocol}, but it must be {known}")
    package, name = _EXPORTERS[protocol]
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: SpanExporter = found.load()()
        return exporter
    raise LookupError(f"no exporter; install {package}=={version('opentelemetry-sdk')}")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip().lower()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
