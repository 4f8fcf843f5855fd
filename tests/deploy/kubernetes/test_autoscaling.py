"""The adapter's rules make the autoscalers' metrics from metrics that the service exposes."""

import re
from typing import Any

import pytest
import yaml

from service.telemetry.metrics import Metrics
from service.telemetry.states import ModelState, ServiceState
from tests.deploy.dashboard import faults
from tests.deploy.kubernetes.manifests import (
    CPU,
    GPU,
    KUBERNETES,
    Variant,
    find,
    quantity,
    render,
)

RULES = yaml.safe_load((KUBERNETES / "prometheus-adapter" / "values.yaml").read_text())
BY_METRIC = {rule["name"]["as"]: rule for rule in RULES["rules"]["custom"]}
SCRAPES_OF_A_RATE = 4  # so that one may fail
# What the adapter puts in for two pods, in Go's words.
TEMPLATE = {
    "<<.Series>>": "boxport_images_in_service",
    "<<.LabelMatchers>>": 'namespace="shop",pod=~"boxport-1|boxport-2"',
    "<<.GroupBy>>": "pod",
}


@pytest.fixture
def metrics() -> str:
    """/metrics with a sample of each metric, as Prometheus has it."""
    model = ModelState("detector", "1", "aa", "int8", "CPUExecutionProvider", 1, queued=1)
    metrics = Metrics(lambda: ServiceState([model], images=1, requests=1, session_bytes=1))
    metrics.image("detector", "ok", {"decode": 0.003, "queue": 0.001, "inference": 0.04})
    metrics.batch("detector", 2)
    return _as_scraped(metrics.render()[0].decode())


def _as_scraped(text: str) -> str:
    """With the labels that the Prometheus Operator adds to targets of a Service."""
    own = 'namespace="shop",pod="boxport-1"'
    text = re.sub(r"^(\w+)\{(.*)\} ", rf"\1{{{own},\2}} ", text, flags=re.MULTILINE)
    return re.sub(r"^(\w+) (?=\S+$)", rf"\1{{{own}}} ", text, flags=re.MULTILINE)


@pytest.fixture(params=[CPU, GPU], ids=str)
def autoscaler(request: pytest.FixtureRequest) -> dict[str, Any]:
    spec: dict[str, Any] = find(render(request.param), "HorizontalPodAutoscaler")["spec"]
    return spec


def test_each_metric_has_a_rule(autoscaler: dict[str, Any]) -> None:
    asked = _asked(autoscaler)
    assert "boxport_queue_seconds" in asked
    assert asked.keys() <= BY_METRIC.keys()


def test_each_rule_is_asked_for() -> None:
    asked = {name for variant in (CPU, GPU) for name in _asked(_spec(variant))}
    assert asked == BY_METRIC.keys()


@pytest.mark.parametrize("name", BY_METRIC)
def test_rule_fits_what_the_service_exposes(name: str, metrics: str) -> None:
    rule = BY_METRIC[name]
    for expression in (rule["seriesQuery"], _query(rule)):
        assert faults(_dashboard(expression), metrics) == []


@pytest.mark.parametrize("name", BY_METRIC)
def test_rule_is_found_by_the_series_it_is_named_after(name: str) -> None:
    rule = BY_METRIC[name]
    series = rule["seriesQuery"].partition("{")[0]
    assert re.fullmatch(rule["name"]["matches"], series)
    assert TEMPLATE["<<.Series>>"] == series
    assert rule["resources"]["overrides"] == {
        "namespace": {"resource": "namespace"},
        "pod": {"resource": "pod"},
    }


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("boxport_stage_seconds_sum", "boxport_stage_seconds_total"),
        ('stage="queue"', 'step="queue"'),
        ("rate(", "avg("),
        ("<<.GroupBy>>", "service"),
    ],
)
def test_fault_in_a_rule_is_found(was: str, becomes: str, metrics: str) -> None:
    rule = BY_METRIC["boxport_queue_seconds"]
    broken = rule | {"metricsQuery": rule["metricsQuery"].replace(was, becomes)}
    assert faults(_dashboard(_query(broken)), metrics)


def test_rates_are_over_several_scrapes() -> None:
    (endpoint,) = find(render(CPU), "ServiceMonitor")["spec"]["endpoints"]
    interval = int(endpoint["interval"].removesuffix("s"))
    windows = re.findall(r"\[(\d+)m\]", yaml.safe_dump(RULES))
    assert windows
    assert all(60 * int(minutes) >= SCRAPES_OF_A_RATE * interval for minutes in windows)


def test_targets_are_within_what_the_metric_can_be(autoscaler: dict[str, Any]) -> None:
    """Milliseconds of waiting, which the adapter's unit of a thousandth can express; a share of a
    GPU."""
    asked = _asked(autoscaler)
    assert 0.01 <= asked["boxport_queue_seconds"] <= 0.1
    assert 0.5 <= asked.get("boxport_busy_runs", 0.75) <= 0.9


def test_load_of_the_device_is_a_metric_beside_the_queue(autoscaler: dict[str, Any]) -> None:
    """An idle pod and a half-loaded one have the same queue: none."""
    of_device = [m for m in autoscaler["metrics"] if m["type"] == "Resource"]
    assert len(of_device) + ("boxport_busy_runs" in _asked(autoscaler)) == 1
    assert len(autoscaler["metrics"]) == 2


def test_up_fast_and_down_slowly(autoscaler: dict[str, Any]) -> None:
    behaviour = autoscaler["behavior"]
    assert autoscaler["minReplicas"] >= 2
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 300
    (policy,) = behaviour["scaleDown"]["policies"]
    assert (policy["type"], policy["value"]) == ("Pods", 1)


def _spec(variant: Variant) -> dict[str, Any]:
    spec: dict[str, Any] = find(render(variant), "HorizontalPodAutoscaler")["spec"]
    return spec


def _asked(autoscaler: dict[str, Any]) -> dict[str, float]:
    """Targets by name of metric, without those that Kubernetes measures itself."""
    return {
        metric["pods"]["metric"]["name"]: quantity(metric["pods"]["target"]["averageValue"])
        for metric in autoscaler["metrics"]
        if metric["type"] == "Pods"
    }


def _query(rule: dict[str, Any]) -> str:
    query: str = rule["metricsQuery"]
    for word, value in TEMPLATE.items():
        query = query.replace(word, value)
    assert "<<" not in query
    return query


def _dashboard(expression: str) -> dict[str, Any]:
    """In the form that `faults` reads."""
    series = "(" not in expression
    if series:
        query = {"query": f"label_values({expression}, pod)"}
        variable = {"type": "query", "name": "pod", "query": query}
        return {"panels": [], "templating": {"list": [variable]}}
    panel = {"title": "rule", "targets": [{"expr": expression, "legendFormat": "{{pod}}"}]}
    return {"panels": [panel], "templating": {"list": []}}
