"""A real Prometheus scrapes a real server, loads the alert rules, and finds what is said there."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.test_alerts import ALERTS, check_with_promtool
from tests.docs.pages import DOCS, block_with
from tests.e2e.server import Server, eventually
from tests.e2e.v2_tensors import DETECTOR
from tests.paths import ROOT
from tests.thirdparty.tools import debian

pytestmark = pytest.mark.full


@pytest.fixture
def prometheus(server: Server, tmp_path: Path) -> Iterator[str]:
    """Its address; it scrapes the server by the page's job, every half a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = yaml.safe_load(block_with(DOCS / "clients.md", "yaml", "scrape_configs"))
    settings["rule_files"] = [str(ROOT / file) for file in settings["rule_files"]]
    settings["scrape_configs"][0]["static_configs"][0]["targets"] = [
        server.url.removeprefix("http://")
    ]
    settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [
        debian("prometheus", "prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def test_rules_and_their_cases() -> None:
    check_with_promtool(debian("prometheus", "promtool"))


def test_prometheus_reads_the_metrics_and_the_rules(
    prometheus: str, server: Server, cat: bytes
) -> None:
    def found(query: str) -> list[dict[str, Any]]:
        reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30)
        return json.loads(reply.text)["data"]["result"]

    def is_scraped() -> bool:
        try:
            return bool(found('boxport_images_total{outcome="ok"}'))
        except (httpx.HTTPError, KeyError, ValueError):
            return False

    eventually(is_scraped, "Prometheus has scraped", 60)
    new = f'boxport_requests_total{{model="{DETECTOR}",route="/v2/models/{{name}}/infer"}}'
    assert {row["metric"]["reason"] for row in found(new)} >= {"ok", "overloaded"}
    assert found("up")[0]["value"][1] == "1"
    before = float(found(f'sum(boxport_images_total{{model="{DETECTOR}"}})')[0]["value"][1])
    reply = httpx.post(
        f"{server.url}/v1/detect?model={DETECTOR}",
        content=cat,
        headers={"content-type": "image/jpeg"},
    )
    assert reply.status_code == 200
    grown = f'sum(boxport_images_total{{model="{DETECTOR}"}}) == {before + 1}'
    eventually(lambda: bool(found(grown)), "the image is counted", 60)
    (group,) = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for rule in group["rules"]} == set(ALERTS)
    eventually(lambda: all(rule["health"] == "ok" for rule in rules(prometheus)), "rules run", 60)
    assert not [rule["name"] for rule in rules(prometheus) if rule["state"] == "firing"]


def rules(prometheus: str) -> list[dict[str, Any]]:
    (group,) = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
    return group["rules"]
