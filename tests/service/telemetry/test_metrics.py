"""Prometheus reads what happened, under names and labels that stay few."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from service.http.routes import ROUTES
from service.scoreboard import Scoreboard
from service.telemetry.metrics import MODEL_ROUTES, Counter, Histogram, Metrics
from service.telemetry.record import OK
from service.telemetry.states import ModelState, RolloutState, ServiceState
from tests.paths import ROOT


@pytest.fixture
def metrics(state: ServiceState) -> Metrics:
    return Metrics(lambda: state)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The one sample of that name with these labels among its own; None if there is none."""
    found = [
        sample.value
        for family in read_text(metrics.render()[0].decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_request_is_counted_by_outcome_and_timed_by_route(metrics: Metrics) -> None:
    metrics.request("/v1/detect", "detector", 200, "ok", 0.03125)
    metrics.request("/v1/detect", "detector", 503, "overloaded", 0.03125)
    metrics.request("/v1/models", None, 200, "ok", 0.001)
    refused = {"route": "/v1/detect", "model": "detector", "reason": "overloaded"}
    assert value(metrics, "boxport_requests_total", **refused, status="503") == 1
    assert value(metrics, "boxport_requests_total", route="/v1/models", model="none") == 1
    assert value(metrics, "boxport_request_seconds_count", route="/v1/detect") == 2
    assert value(metrics, "boxport_request_seconds_sum", route="/v1/detect") == 0.0625


def test_image_is_timed_only_in_the_stages_it_came_to(metrics: Metrics) -> None:
    metrics.image("detector", OK, {"decode": 0.003, "queue": 0.0, "inference": 0.04})
    metrics.image("detector", "invalid_image", {"decode": 0.001})
    metrics.image("detector", "deadline_exceeded", {"decode": 0.002, "queue": 1.5})
    counts = {
        stage: value(metrics, "boxport_stage_seconds_count", model="detector", stage=stage)
        for stage in ("decode", "queue", "inference")
    }
    assert counts == {"decode": 3, "queue": 2, "inference": 1}
    assert value(metrics, "boxport_stage_seconds_sum", model="detector", stage="queue") == 1.5
    assert value(metrics, "boxport_images_total", model="detector", outcome="ok") == 1
    assert value(metrics, "boxport_images_total", outcome="invalid_image") == 1


def test_stage_buckets_tell_half_a_millisecond_from_thirty_seconds(metrics: Metrics) -> None:
    for seconds in (0.0004, 0.02, 29.0, 31.0):
        metrics.image("detector", OK, {"queue": seconds})
    buckets = {
        bound: value(
            metrics, "boxport_stage_seconds_bucket", model="detector", stage="queue", le=bound
        )
        for bound in ("0.0005", "0.025", "30.0", "+Inf")
    }
    assert buckets == {"0.0005": 1, "0.025": 2, "30.0": 3, "+Inf": 4}


def test_batches_and_load_failures(metrics: Metrics) -> None:
    metrics.batch("detector", 1)
    metrics.batch("detector", 4)
    metrics.load_failure("broken")
    assert value(metrics, "boxport_batch_size_sum", model="detector") == 5
    assert value(metrics, "boxport_batch_size_bucket", model="detector", le="2.0") == 1
    assert value(metrics, "boxport_model_load_failures_total", model="broken") == 1


def test_states_are_those_of_the_scrape(state: ServiceState) -> None:
    now = state
    metrics = Metrics(lambda: now)
    assert value(metrics, "boxport_images_in_service") == 5
    now = replace(state, images=0, requests=7, session_bytes=1)
    assert value(metrics, "boxport_images_in_service") == 0
    assert value(metrics, "boxport_requests_in_flight") == 7
    assert value(metrics, "boxport_session_bytes") == 1


def test_versions_of_a_model_share_its_series(metrics: Metrics) -> None:
    assert value(metrics, "boxport_queue_images", model="detector") == 7
    assert value(metrics, "boxport_sessions", model="detector") == 2
    assert value(metrics, "boxport_sessions", model="classifier") == 1


def test_info_is_of_loaded_models(metrics: Metrics) -> None:
    loaded = {"model": "detector", "version": "1", "sha256": "aa", "precision": "int8"}
    provider = "CPUExecutionProvider"
    assert value(metrics, "boxport_model_info", **loaded, provider=provider) == 1
    assert value(metrics, "boxport_model_info", model="detector", version="2") is None


def test_only_names_of_the_store_become_labels(metrics: Metrics) -> None:
    for i in range(100):
        metrics.request("/v1/detect", f"guess-{i}", 404, "model_not_found", 0.001)
        metrics.image(f"guess-{i}", OK, {})
        metrics.batch(f"guess-{i}", 1)
    text = metrics.render()[0].decode()
    assert "guess" not in text
    assert value(metrics, "boxport_requests_total", model="none", status="404") == 100


def test_model_that_joins_and_leaves_the_store_keeps_its_name(state: ServiceState) -> None:
    now = state
    metrics = Metrics(lambda: now)

    def count(model: str, status: int) -> float | None:
        labels = {"route": "/v1/detect", "model": model, "status": str(status)}
        return value(metrics, "boxport_requests_total", **labels)

    metrics.request("/v1/detect", "new", 404, "model_not_found", 0.001)
    now = replace(state, models=[ModelState("new", "1", "dd", "int8")])
    metrics.request("/v1/detect", "new", 200, "ok", 0.001)
    now = state
    metrics.request("/v1/detect", "new", 404, "model_not_found", 0.001)
    assert (count("none", 404), count("new", 200), count("new", 404)) == (1, 1, 1)


def test_process_is_measured(metrics: Metrics) -> None:
    assert (value(metrics, "process_resident_memory_bytes") or 0) > 1e6
    assert (value(metrics, "process_open_fds") or 0) > 2
    assert (value(metrics, "process_cpu_seconds_total") or 0) > 0


def test_openmetrics_is_given_to_who_asks(metrics: Metrics) -> None:
    metrics.request("/v1/detect", "detector", 200, "ok", 0.05)
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    content, content_type = metrics.render(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family.type for family in read_openmetrics(content.decode())}
    assert families["boxport_requests"] == "counter"
    assert families["boxport_model"] == "info"


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "application/openmetrics-text; version=abc", ";;=,", "text/plain"],
)
def test_all_others_get_text(metrics: Metrics, accept: str) -> None:
    content, content_type = metrics.render(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert list(read_text(content.decode()))


OF_ROLLOUTS = {"boxport_shadow_photos", "boxport_canary_requests"}  # of which there is none


def test_what_alerts_count_is_there_at_0_for_each_model(metrics: Metrics) -> None:
    """A series that begins at 1 never was an increase."""
    families = {family.name: family for family in read_text(metrics.render()[0].decode())}
    counters = [
        f
        for f in families.values()
        if f.name.startswith("boxport_") and f.type == "counter" and f.name not in OF_ROLLOUTS
    ]
    assert len(counters) == 6
    for family in counters:
        assert {sample.value for sample in family.samples} == {0}
        if family.name not in ("boxport_decoder_ends", "boxport_worker_ends"):
            assert {s.labels["model"] for s in family.samples} >= {"detector", "classifier"}
    for model in ("detector", "classifier", "none"):
        requests = {"route": "/v1/detect", "model": model}
        for reason in ("ok", "overloaded", "rate_limited", "internal_error", "deadline_exceeded"):
            assert value(metrics, "boxport_requests_total", **requests, reason=reason) == 0
    assert value(metrics, "boxport_images_total", model="detector", outcome="internal_error") == 0
    assert value(metrics, "boxport_batch_size_count", model="classifier") == 0
    assert value(metrics, "boxport_stage_seconds_count", model="detector", stage="queue") == 0


def test_a_model_that_joins_is_there_at_0_from_then_on(state: ServiceState) -> None:
    now = state
    metrics = Metrics(lambda: now)
    assert value(metrics, "boxport_model_load_failures_total", model="new") is None
    now = replace(state, models=[ModelState("new", "1", "", "")])
    assert value(metrics, "boxport_model_load_failures_total", model="new") == 0
    metrics.load_failure("new")
    assert value(metrics, "boxport_model_load_failures_total", model="new") == 1
    assert value(metrics, "boxport_sessions", model="new") == 0


def test_the_routes_that_are_there_at_0_are_those_that_bring_images() -> None:
    assert list(MODEL_ROUTES) == [route.template for route in ROUTES if route.brings_images]


def test_two_instances_share_nothing(state: ServiceState) -> None:
    one, other = Metrics(lambda: state), Metrics(lambda: state)
    one.load_failure("broken")
    assert value(other, "boxport_model_load_failures_total", model="broken") is None


def test_bentoml_s_folder_of_metrics_stays_empty(tmp_path: Path) -> None:
    program = (
        "from service.telemetry.metrics import Metrics, ServiceState\n"
        "metrics = Metrics(ServiceState)\n"
        "metrics.request('/v1/detect', None, 200, 'ok', 0.1)\n"
        "print(metrics.render()[0].decode())\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "boxport_requests_total{" in done.stdout
    assert not list(tmp_path.iterdir())


def test_names_follow_prometheus_practice(metrics: Metrics) -> None:
    metrics.load_failure("broken")
    for family in metrics.collect():
        assert family.name.startswith(("boxport_", "process_"))
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        else:
            assert not family.name.endswith(("_total", "_count", "_sum"))


def test_histogram_s_buckets_include_their_bound_and_all_that_is_below() -> None:
    histogram = Histogram(Scoreboard.alone(), "seconds", "Help.", ("stage",), (0.1, 1))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(("queue",), value)
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in histogram.family().samples
    }
    assert samples == {
        ("seconds_bucket", "0.1"): 2,
        ("seconds_bucket", "1.0"): 4,
        ("seconds_bucket", "+Inf"): 5,
        ("seconds_count", None): 5,
        ("seconds_sum", None): pytest.approx(8.65),
    }


def test_labels_have_series_of_their_own() -> None:
    counter = Counter(Scoreboard.alone(), "events", "Help.", ("model", "reason"))
    counter.count(("a", "ok"))
    counter.count(("a", "ok"))
    counter.count(("b", "ok"))
    assert [(s.name, s.labels["model"], s.value) for s in counter.family().samples] == [
        ("events_total", "a", 2),
        ("events_total", "b", 1),
    ]


def test_threads_lose_no_event() -> None:
    counter = Counter(Scoreboard.alone(), "events", "Help.", ("model",))
    histogram = Histogram(Scoreboard.alone(), "size", "Help.", ("model",), (1, 2))

    def work(_: int) -> None:
        for _ in range(5000):
            counter.count(("a",))
            histogram.observe(("a",), 2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert counter.family().samples[0].value == 20_000
    assert {s.name: s.value for s in histogram.family().samples}["size_sum"] == 40_000


def test_a_rollout_has_series_of_its_own(state: ServiceState) -> None:
    rollout = RolloutState(
        "detector",
        "2",
        "canary",
        "running",
        0.05,
        photos={"compared": 40, "dropped": 2, "failed": 0},
        requests={"answered": 19, "failed": 1},
        agreement={"value": 0.98, "low": 0.9, "high": 0.99},
        p99={"1": 0.05, "2": 0.04},
        memory={"2": 1000},
    )
    metrics = Metrics(lambda: replace(state, rollouts=[rollout]))
    metrics.taken_back("detector", "disagreement")
    one = {"model": "detector", "version": "2"}
    share = {"mode": "canary", "phase": "running"}
    assert value(metrics, "boxport_rollout_share", **one, **share) == 0.05
    assert value(metrics, "boxport_shadow_photos_total", **one, outcome="dropped") == 2
    assert value(metrics, "boxport_canary_requests_total", **one, outcome="failed") == 1
    assert value(metrics, "boxport_shadow_agreement", **one, bound="low") == 0.9
    assert value(metrics, "boxport_canary_p99_seconds", **one, answered_by="1") == 0.05
    assert value(metrics, "boxport_shadow_memory_bytes", **one, of="2") == 1000
    taken_back = "boxport_rollouts_taken_back_total"
    assert value(metrics, taken_back, model="detector", cause="disagreement") == 1
    assert value(metrics, taken_back, model="detector", cause="process") == 0
