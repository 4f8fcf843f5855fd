"""Each request is counted and traced, and the access log writes what must be seen, and a fair
sample of the rest."""

import logging
import uuid
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.record import RequestRecord, Stage
from service.telemetry.recorder import AccessLog, RequestRecorder
from service.telemetry.spans import Spans
from service.telemetry.states import ServiceState

LOGGER = "bentoml.boxport.access"


def write(log: AccessLog, request_id: str = "r-1", **changes: Any) -> None:
    seconds = changes.pop("seconds", 0.05)
    log.write(make_record(request_id=request_id, **changes), seconds)


def make_record(**changes: Any) -> RequestRecord:
    fields: dict[str, Any] = {
        "request_id": "r-1",
        "method": "POST",
        "template": "/v1/detect",
        "headers": {},
        "status": 200,
        "request_bytes": 60_000,
        "response_bytes": 400,
    }
    return RequestRecord(**{**fields, **changes})


def test_line_says_what_was_asked_and_how_it_went(lines: list[logging.LogRecord]) -> None:
    write(AccessLog(1.0, 1.0), model="detector", images=2, caller="shop")
    (line,) = lines
    assert line.getMessage() == "POST /v1/detect 200"
    fields = {name: value for name, value in vars(line).items() if name in FIELDS}
    assert fields == FIELDS
    assert (line.name, line.levelno) == (LOGGER, logging.INFO)


FIELDS = {
    "method": "POST",
    "route": "/v1/detect",
    "status": 200,
    "reason": "ok",
    "model": "detector",
    "images": 2,
    "milliseconds": 50.0,
    "request_bytes": 60_000,
    "response_bytes": 400,
    "caller": "shop",
    "request_id": "r-1",
}


@pytest.mark.parametrize(
    ("outcome", "written"),
    [
        ({"status": 500, "reason": "internal_error"}, True),
        ({"status": 504, "reason": "deadline_exceeded"}, True),
        ({"status": 503, "reason": "overloaded"}, False),  # hundreds a second, and no fault
        ({"seconds": 1.0}, True),
        ({"seconds": 0.999}, False),
        ({"status": 422, "reason": "invalid_image"}, False),
    ],
    ids=["failure", "late", "refusal", "slow", "not slow", "caller's fault"],
)
def test_failures_and_slow_requests_are_always_written(
    lines: list[logging.LogRecord], outcome: dict[str, Any], written: bool
) -> None:
    write(AccessLog(0.0, slow_seconds=1.0), **outcome)
    assert bool(lines) == written


def test_failure_is_a_warning(lines: list[logging.LogRecord]) -> None:
    write(AccessLog(0.0, 1.0), status=500, reason="internal_error")
    assert lines[0].levelno == logging.WARNING


@pytest.mark.parametrize("ids", ["random", "in sequence"])
def test_sample_is_of_its_size(lines: list[logging.LogRecord], ids: str) -> None:
    log = AccessLog(0.1, 1.0)
    for i in range(5000):
        write(log, uuid.UUID(int=i * 0x9E3779B97F4A7C15).hex if ids == "random" else f"order-{i}")
    assert 400 < len(lines) < 600


def test_a_caller_does_not_choose_what_is_written(lines: list[logging.LogRecord]) -> None:
    """Whatever id it gives its requests."""
    log = AccessLog(0.2, 1.0)
    for _ in range(2000):
        write(log, "r-1")
    assert 300 < len(lines) < 500


@pytest.mark.parametrize(("sample", "written"), [(0.0, 0), (1.0, 1000)])
def test_all_and_nothing(lines: list[logging.LogRecord], sample: float, written: int) -> None:
    log = AccessLog(sample, 1.0)
    for i in range(1000):
        write(log, f"r-{i}")
    assert len(lines) == written


def test_a_request_is_told_everywhere(
    state: ServiceState, lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    metrics, exporter = Metrics(lambda: state), InMemorySpanExporter()
    spans = Spans(SimpleSpanProcessor(exporter))
    recorder = RequestRecorder(Settings(access_log_sample=1), metrics, spans)
    record = make_record(status=422, reason="invalid_image", model="detector")
    record.stages = [Stage("decode", record.started, record.started + 0.01)]
    recorder.record(record)
    counted = 'boxport_requests_total{model="detector",reason="invalid_image",route="/v1/detect"'
    assert counted in metrics.render()[0].decode()
    assert {span.name for span in exporter.get_finished_spans()} == {"POST /v1/detect", "decode"}
    assert [line.getMessage() for line in lines] == ["POST /v1/detect 422"]
    RequestRecorder(Settings(access_log_sample=0), metrics, None).record(record)
    assert len(exporter.get_finished_spans()) == 2
    assert len(lines) == 1
