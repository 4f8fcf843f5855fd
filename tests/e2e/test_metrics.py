"""/metrics tells what happened, in as many series as there are routes and models, and no more."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.deploy.dashboard import faults
from tests.e2e.server import Server, eventually, running_server
from tests.paths import ROOT

DETECTOR, CLASSIFIER = "retinanet_lite0_voc", "efficientnet_lite0_imagenet"
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that nobody else asks."""
    with running_server(tmp_path_factory.mktemp("counting")) as running:
        yield running


def test_what_was_asked_is_counted(server: Server, http: httpx.Client, cat: bytes) -> None:
    before = server.metrics()
    files = [("images", ("photo", content)) for content in (cat, b"no photo", cat)]
    assert http.post("/v1/detect", files=files).status_code == 200
    assert http.post("/v1/classify", content=cat, headers=JPEG).status_code == 200
    assert http.post("/v1/classify", content=b"x", headers=JPEG).status_code == 422
    assert http.post("/v1/detect?model=nothing", content=cat, headers=JPEG).status_code == 404
    assert http.post("/v1/detect", content=b"x", headers={"content-type": "a/b"}).status_code == 415
    after = server.metrics()

    def grown(name: str, **labels: str) -> float:
        return after.get(name, **labels) - before.get(name, **labels)

    requests = "boxport_requests_total"
    assert grown(requests, route="/v1/detect", model=DETECTOR, status="200", reason="ok") == 1
    assert grown(requests, route="/v1/classify", model=CLASSIFIER, status="200", reason="ok") == 1
    assert grown(requests, model=CLASSIFIER, status="422", reason="invalid_image") == 1
    assert grown(requests, model="none", status="404", reason="model_not_found") == 1
    assert grown(requests, model="none", status="415", reason="unsupported_media_type") == 1
    assert grown(requests, route="/v1/detect") == 3
    assert grown("boxport_images_total", model=DETECTOR, outcome="ok") == 2
    assert grown("boxport_images_total", model=DETECTOR, outcome="invalid_image") == 1
    assert grown("boxport_images_total", model=CLASSIFIER) == 2
    for stage in ("queue", "inference"):
        assert grown("boxport_stage_seconds_count", model=DETECTOR, stage=stage) == 2
        assert grown("boxport_stage_seconds_count", model=CLASSIFIER, stage=stage) == 1
    assert grown("boxport_stage_seconds_count", model=DETECTOR, stage="decode") == 2
    assert grown("boxport_stage_seconds_sum", stage="inference") > 0.001
    assert grown("boxport_batch_size_sum", model=DETECTOR) == 2, "images that ran"
    assert 1 <= grown("boxport_batch_size_count", model=DETECTOR) <= 2
    assert grown("boxport_request_seconds_count", route="/v1/detect") == 3


def test_what_is_held_is_nothing_when_nothing_is_asked(server: Server) -> None:
    eventually(lambda: server.metrics().get("boxport_images_in_service") == 0, "all is answered")
    metrics = server.metrics()
    assert metrics.get("boxport_queue_images") == 0
    assert metrics.get("boxport_requests_in_flight") == 1, "this very one"


def test_the_models_are_told_with_what_they_run_on(server: Server, http: httpx.Client) -> None:
    metrics = server.metrics()
    for model in http.get("/v1/models").json()["models"]:
        assert metrics.get("boxport_sessions", model=model["name"]) == 1
        labels = {"version": model["version"], "sha256": model["sha256"], "provider": "cpu"}
        assert metrics.get("boxport_model_info", model=model["name"], **labels) == 1
    sizes = [m["status"]["session_bytes"] for m in http.get("/v1/models").json()["models"]]
    assert metrics.get("boxport_session_bytes") == sum(sizes)
    assert metrics.get("process_resident_memory_bytes") > sum(sizes) / 4


def test_the_dashboard_asks_for_what_is_there(
    server: Server, http: httpx.Client, cat: bytes
) -> None:
    for path in ("/v1/detect", "/v1/classify"):
        assert http.post(path, content=cat, headers=JPEG).status_code == 200
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "boxport.json").read_text())
    assert faults(dashboard, http.get("/metrics").text) == []


def test_strangers_cannot_make_series(server: Server, http: httpx.Client, cat: bytes) -> None:
    server.metrics()
    ask_strangely(http, cat, "first")  # every kind once, so that its series is there
    before = server.metrics()
    for i in range(15):
        ask_strangely(http, cat, f"another-{i}")
    after = server.metrics()
    assert after.samples.keys() == before.samples.keys()
    names = {model["name"] for model in http.get("/v1/models").json()["models"]}
    assert after.values("model") == {*names, "none"}
    for value in after.values("route") | after.values("reason"):
        assert "first" not in value
        assert "another" not in value


def ask_strangely(http: httpx.Client, cat: bytes, word: str) -> None:
    http.get(f"/{word}")
    http.get(f"/v1/{word}")
    http.get(f"/v1/models/{word}")
    http.get(f"/v1/models/{word}/{word}")
    http.get(f"/v2/models/{word}")
    http.get(f"/static_content/{word}")
    http.request(word.upper().replace("-", ""), "/v1/detect")
    http.post(f"/v1/detect?model={word}", content=cat, headers=JPEG)
    http.post(f"/v1/detect?{word}=1", content=cat, headers=JPEG)
    http.post("/v1/detect", json={"images": [{"base64": ""}], "model": {"name": word}})
    http.post("/v1/detect", content=cat, headers={"content-type": word})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_format_is_what_prometheus_asks_for(http: httpx.Client, accept: str, kind: str) -> None:
    reply = http.get("/metrics", headers={"accept": accept})
    assert reply.headers["content-type"].startswith(kind)
    assert ("# EOF" in reply.text) == kind.startswith("application")
