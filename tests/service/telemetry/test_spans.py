"""A trace tells when an image was where, and belongs to the caller's."""

import logging
import socket
import threading
import time
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    format_span_id,
    format_trace_id,
    use_span,
)

from service.telemetry.record import RequestRecord, Stage
from service.telemetry.spans import Spans, open_spans
from tests.service.telemetry.collector import running_collector

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL", "TIMEOUT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("SDK_DISABLED", "TRACES_EXPORTER", "TRACES_SAMPLER", "SERVICE_NAME"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def ask(spans: Spans, headers: dict[str, str] | None = None, **changes: Any) -> float:
    """Record a request that ended now and took 100 ms; the end, by `time.perf_counter`."""
    end = time.perf_counter()
    request = RequestRecord(
        request_id="r-1",
        method="POST",
        template="/v1/detect",
        headers=headers or {},
        model="detector",
        started=end - 0.1,
        stages=[
            Stage("decode", end - 0.09, end - 0.06),
            Stage("queue", end - 0.06, end - 0.05),
            Stage("infer", end - 0.05, end - 0.01, image=1),
        ],
        **{"status": 200, **changes},
    )
    spans.request(request, end)
    return end


def record(exporter: InMemorySpanExporter, *args: Any, **changes: Any) -> dict[str, ReadableSpan]:
    ask(Spans(SimpleSpanProcessor(exporter)), *args, **changes)
    return {span.name: span for span in exporter.get_finished_spans()}


def milliseconds(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e6


def test_stages_are_children_with_the_times_that_were_measured(
    exporter: InMemorySpanExporter,
) -> None:
    before = time.time_ns()
    spans = record(exporter)
    request = spans.pop("POST /v1/detect")
    assert milliseconds(request) == pytest.approx(100, abs=0.01)
    assert request.end_time == pytest.approx(before, abs=1e9)
    assert {name: round(milliseconds(span), 3) for name, span in spans.items()} == {
        "decode": 30,
        "queue": 10,
        "infer": 40,
    }
    for span in spans.values():
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert span.context.trace_id == request.context.trace_id
    assert spans["infer"].end_time == pytest.approx((request.end_time or 0) - 10_000_000, abs=2000)
    assert [spans[name].attributes["boxport.image"] for name in ("decode", "infer")] == [0, 1]


def test_request_says_what_it_was(exporter: InMemorySpanExporter) -> None:
    request = record(exporter)["POST /v1/detect"]
    assert request.kind == SpanKind.SERVER
    assert request.resource.attributes["service.name"] == "boxport"
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/detect",
        "http.response.status_code": 200,
        "boxport.request_id": "r-1",
        "boxport.model": "detector",
    }
    assert request.status.status_code == StatusCode.UNSET


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [(503, "overloaded", StatusCode.ERROR), (422, "invalid_image", StatusCode.UNSET)],
)
def test_only_the_service_s_faults_are_errors(
    exporter: InMemorySpanExporter, status: int, reason: str, code: StatusCode
) -> None:
    request = record(exporter, status=status, reason=reason)["POST /v1/detect"]
    assert request.status.status_code == code
    assert (request.attributes or {})["error.type"] == reason


def test_caller_s_trace_is_gone_on_with(exporter: InMemorySpanExporter) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
    request = record(exporter, headers)["POST /v1/detect"]
    assert format_trace_id(request.context.trace_id) == TRACE
    assert request.parent is not None
    assert format_span_id(request.parent.span_id) == CALLER
    assert request.context.trace_state["vendor"] == "1"


def test_what_the_caller_does_not_sample_is_not_recorded(exporter: InMemorySpanExporter) -> None:
    assert not record(exporter, {"traceparent": f"00-{TRACE}-{CALLER}-00"})


def test_sampler_is_the_sdk_s(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert not record(exporter)


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", f"00-{'0' * 32}-{CALLER}-01"])
def test_no_parent_begins_a_trace_of_its_own(
    exporter: InMemorySpanExporter, traceparent: str | None
) -> None:
    # BentoML's middleware has a span of its own, never recorded, around every request
    around = NonRecordingSpan(SpanContext(int(TRACE, 16), int(CALLER, 16), is_remote=False))
    with use_span(around):
        spans = record(exporter, {} if traceparent is None else {"traceparent": traceparent})
    assert spans["POST /v1/detect"].parent is None


def test_service_s_name_is_the_operator_s(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "detectors")
    request = record(exporter)["POST /v1/detect"]
    assert request.resource.attributes["service.name"] == "detectors"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("", "")],
)
def test_spans_are_off_unless_a_collector_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    if variable:
        monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
        monkeypatch.setenv(variable, value)
    assert open_spans() is None


def test_collector_receives_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collected:
        monkeypatch.setenv(ENDPOINT, collected.url)
        spans = open_spans()
        assert spans is not None
        ask(spans, {"traceparent": f"00-{TRACE}-{CALLER}-01"})
        spans.close()
    assert {(path, service) for path, service, _ in collected.spans} == {("/v1/traces", "boxport")}
    received = {span.name: span for _, _, span in collected.spans}
    assert received.keys() == {"POST /v1/detect", "decode", "queue", "infer"}
    assert all(span.trace_id.hex() == TRACE for span in received.values())
    infer = received["infer"]
    assert infer.parent_span_id == received["POST /v1/detect"].span_id
    assert infer.end_time_unix_nano - infer.start_time_unix_nano == pytest.approx(40e6, abs=2000)


def test_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5")
        spans = open_spans()
        assert spans is not None
        ask(spans)
        started = time.perf_counter()
        spans.close(0.2)
        assert 0.2 <= time.perf_counter() - started < 1.4
        for thread in threading.enumerate():  # lest it outlive the socket
            if thread.name.startswith("Otel"):
                thread.join()


def test_missing_exporter_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, lines: list[logging.LogRecord]
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert open_spans() is None
    line = lines.pop().getMessage()
    assert not lines
    sdk = version("opentelemetry-sdk")
    assert line.endswith(f"no exporter; install opentelemetry-exporter-otlp-proto-grpc=={sdk}")
    assert ENDPOINT in line


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon", "OTEL_EXPORTER_OTLP_PROTOCOL=pigeon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "max_queue_size must be a positive integer"),
    ],
)
def test_wrong_variable_turns_spans_off_and_not_the_service(
    monkeypatch: pytest.MonkeyPatch,
    lines: list[logging.LogRecord],
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    assert open_spans() is None
    assert [said in line.getMessage() for line in lines] == [True]
