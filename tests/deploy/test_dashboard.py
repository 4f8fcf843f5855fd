"""The queries of the Grafana dashboard are valid and use metrics that exist."""

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metrics import Metrics
from service.telemetry.states import ModelState, RolloutState, ServiceState
from tests.deploy.dashboard import faults, metric_names, queries, read_metrics
from tests.paths import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "boxport.json"


@pytest.fixture
def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


@pytest.fixture
def metrics() -> str:
    """/metrics with a sample of each metric."""
    model = ModelState("detector", "1", "aa", "int8", "CPUExecutionProvider", 1, queued=1)
    outcomes = {"answered": 1.0, "failed": 0.0}
    rollout = RolloutState(
        *("detector", "2", "canary", "running", 0.05),
        photos={"compared": 1.0},
        requests=outcomes,
        agreement={"value": 1.0},
        p99={"2": 0.05},
        memory={"2": 1.0},
    )
    metrics = Metrics(lambda: ServiceState([model], 1, 1, 1, [rollout]))
    metrics.request("/v1/detect", "detector", 200, "ok", 0.05)
    metrics.image("detector", "ok", {"decode": 0.003, "queue": 0.001, "inference": 0.04})
    metrics.batch("detector", 2)
    metrics.novelty("detector", 0.5)
    metrics.load_failure("broken")
    return metrics.render()[0].decode()


def test_every_query_fits_what_the_service_exposes(dashboard: dict[str, Any], metrics: str) -> None:
    assert all(metric.labels is not None for metric in read_metrics(metrics).values())
    assert faults(dashboard, metrics) == []


def test_every_metric_of_the_service_is_shown(dashboard: dict[str, Any], metrics: str) -> None:
    shown = metric_names(dashboard)
    for family in text_string_to_metric_families(metrics):
        if family.name.startswith("boxport_"):
            assert shown & {sample.name for sample in family.samples}, family.name


def test_panels_ask_the_data_source_that_is_chosen(dashboard: dict[str, Any]) -> None:
    assert len(list(queries(dashboard))) > 20
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert panel["description"]
            assert all(target["datasource"] == chosen for target in panel["targets"])


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("boxport_nothing", "no metric boxport_nothing"),
        ("sum by (colour) (boxport_sessions)", "boxport_sessions{} has no label colour"),
        ("rate(boxport_sessions[5m])", "boxport_sessions is no counter"),
        ('boxport_sessions{model=~"$modle"}', "no variable modle"),
    ],
)
def test_a_wrong_query_would_be_found(
    dashboard: dict[str, Any], metrics: str, expression: str, fault: str
) -> None:
    target = next(panel for panel in dashboard["panels"] if "targets" in panel)["targets"][0]
    target |= {"expr": expression, "legendFormat": ""}
    (found,) = faults(dashboard, metrics)
    assert fault in found
