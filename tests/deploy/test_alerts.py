"""The alert rules are made of metrics and labels that there are, and fire when they are to."""

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from service.http.routes import ROUTES
from service.problems import KINDS
from service.telemetry.metrics import Metrics
from service.telemetry.states import ModelState, ServiceState
from tests.deploy.dashboard import TARGET_LABELS, read_metrics
from tests.paths import ROOT
from tests.thirdparty.tools import find_debian

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
TESTS = RULES.with_name("alerts.test.yaml")
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
SHOWN = re.compile(r"\$labels\.(\w+)")


def selectors(node: promql.Expr) -> list[promql.VectorSelector]:
    """Those of an expression, the ranges of `rate` and the like among them."""
    found: list[promql.VectorSelector] = []

    def note(part: promql.Expr) -> None:
        if isinstance(part, promql.VectorSelector):
            found.append(part)

    promql.walk(node, note)
    return found


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_is_made_of_what_the_service_exposes(alert: str) -> None:
    """At once, before anything has happened: else its first event would be missed."""
    model = ModelState("pets", "1", "aa", "int8", "CPUExecutionProvider", 1)
    exposed = read_metrics(Metrics(lambda: ServiceState([model])).render()[0].decode())
    own = set()
    for selector in selectors(promql.parse(ALERTS[alert]["expr"])):
        asked = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name == "up":  # of Prometheus itself
            assert asked <= TARGET_LABELS
            continue
        labels = exposed[selector.name or ""].labels
        assert labels is not None, f"{selector.name} has no sample yet"
        assert asked <= labels | TARGET_LABELS
        own |= labels
    notes = " ".join(ALERTS[alert]["annotations"].values())
    assert set(SHOWN.findall(notes)) <= own | TARGET_LABELS


def test_the_reasons_and_routes_that_alerts_name_are_those_of_the_service() -> None:
    for rule in ALERTS.values():
        for selector in selectors(promql.parse(rule["expr"])):
            for matcher in selector.matchers.matchers:
                if matcher.name == "reason":
                    assert set(matcher.value.split("|")) <= set(KINDS)
                if matcher.name == "route":
                    matched = {
                        r.template for r in ROUTES if re.fullmatch(matcher.value, r.template)
                    }
                    assert matched == {r.template for r in ROUTES if r.brings_images}


def test_every_alert_has_a_case() -> None:
    cases = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {
        case["alertname"]
        for test in cases
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == set(ALERTS)


def check_with_promtool(promtool: Path) -> None:
    for command in (("check", "rules", RULES), ("test", "rules", TESTS)):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_that_alerts_fire_when_they_are_to() -> None:
    promtool = find_debian("prometheus", "promtool")
    if promtool is None:
        pytest.skip("promtool is missing; on Debian: sudo apt-get install prometheus")
    check_with_promtool(promtool)
