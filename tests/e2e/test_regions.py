"""Regions of a photo, and a second model on detections, against a real server; docs/regions.md."""

import base64
import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from service.http.openapi.schemas import ClassifyAnswer, DetectAnswer
from tests.docs.pages import DOCS, block_with
from tests.e2e.server import Server
from tests.packages import CLASSIFIER
from tests.paths import ROOT

PAGE = DOCS / "regions.md"
REQUESTS = block_with(PAGE, "sh", "curl").strip().splitlines()
DETECTOR = "retinanet_lite0_voc"  # the default
JPEG = {"content-type": "image/jpeg"}
REGIONS = [[40.0, 10.5, 260.0, 290.0], [300.0, 120.0, 440.0, 250.0]]
TEXTS = [",".join(map(str, region)) for region in REGIONS]


def scores(regions: list[dict[str, Any]]) -> list[list[float]]:
    return [[row["score"] for row in region["classifications"]] for region in regions]


def test_all_forms_of_a_request_say_the_same(http: httpx.Client, cat: bytes) -> None:
    form = {"regions": TEXTS, "region_padding": "0.1", "region_resize": "warp"}
    sent = {"regions": REGIONS, "region_padding": 0.1, "region_resize": "warp"}
    image = {"base64": base64.b64encode(cat).decode()}
    replies = [
        http.post("/v1/classify", content=cat, headers=JPEG, params=form),
        http.post("/v1/classify", files=[("images", ("a", cat))], data=form),
        http.post("/v1/classify", files=[("images", ("a", cat))], params=form),
        http.post("/v1/classify", json={"images": [image], **sent}),
    ]
    answers = [reply.json()["results"][0] for reply in replies]
    for answer in answers:
        assert (answer["width"], answer["height"]) == (451, 300)
        assert [region["box"] for region in answer["regions"]] == REGIONS
        assert "classifications" not in answer
        assert np.allclose(scores(answer["regions"]), scores(answers[0]["regions"]), atol=1e-5)
    shaped = ClassifyAnswer.model_validate(replies[0].json()).results[0]
    assert len(shaped.regions[1].classifications) == 5


def test_regions_hold_for_every_image_of_a_request(http: httpx.Client, cat: bytes) -> None:
    small = BytesIO()
    Image.open(BytesIO(cat)).crop((0, 0, 280, 300)).save(small, "PNG")
    files = [("images", ("a", cat)), ("images", ("b", small.getvalue()))]
    whole, cut = http.post("/v1/classify", files=files, data={"regions": TEXTS}).json()["results"]
    assert len(whole["regions"]) == 2
    assert cut["error"]["code"] == "region_outside"
    inside = http.post("/v1/classify", files=files, data={"regions": TEXTS[:1]}).json()["results"]
    first, second = (one["regions"] for one in inside)
    assert np.allclose(scores(first), scores(second), atol=1e-5)


def test_the_answer_is_that_of_the_region_cut_out(http: httpx.Client, cat: bytes) -> None:
    by_hand = BytesIO()
    Image.open(BytesIO(cat)).crop((40, 10, 260, 290)).save(by_hand, "PNG")
    headers = {"content-type": "image/png"}
    alone = http.post("/v1/classify", content=by_hand.getvalue(), headers=headers).json()
    asked = http.post("/v1/classify", content=cat, headers=JPEG, params={"regions": TEXTS[:1]})
    expected = scores(alone["results"])
    assert np.allclose(scores(asked.json()["results"][0]["regions"]), expected, atol=1e-5)


def test_detections_have_classes_and_the_answer_their_model(http: httpx.Client, cat: bytes) -> None:
    params = {"model": DETECTOR, "then": CLASSIFIER, "top_k": 2}
    answer = http.post("/v1/detect", content=cat, headers=JPEG, params=params).json()
    shaped = DetectAnswer.model_validate(answer)
    assert (shaped.model.name, shaped.then.name) == (DETECTOR, CLASSIFIER)
    assert len(shaped.then.sha256) == 64
    detections = answer["results"][0]["detections"]
    assert [len(one["classifications"]) for one in detections] == [2] * len(detections)
    assert detections[0]["label"] == "cat"
    assert "cat" in detections[0]["classifications"][0]["label"]
    plain = http.post("/v1/detect", content=cat, headers=JPEG, params={"model": DETECTOR}).json()
    assert "then" not in plain
    boxes = [",".join(map(str, one["box"])) for one in detections]
    regions = http.post(
        "/v1/classify", content=cat, headers=JPEG, params={"regions": boxes, "top_k": 2}
    ).json()["results"][0]["regions"]
    assert np.allclose(scores(detections), scores(regions), atol=1e-5)


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "words"),
    [
        ("classify", "regions=500,10,600,90", 422, "region_outside", "451 x 300"),
        ("classify", "regions=5,10,5,90", 422, "invalid_parameter", "empty"),
        ("classify", "regions=1,2,3", 422, "invalid_parameter", "four numbers"),
        ("classify", "regions=nan,1,2,3", 422, "invalid_parameter", "finite"),
        ("classify", "regions=0,0,9,9&region_padding=2", 422, "invalid_parameter", "padding"),
        ("classify", "region_padding=0.1", 422, "unknown_parameter", "without regions"),
        ("classify", "&regions=0,0,9,9" * 101, 413, "too_many_regions", "101 regions"),
        ("classify", f"then={CLASSIFIER}", 422, "unknown_parameter", "regions"),
        ("detect", "regions=0,0,9,9", 422, "invalid_parameter", "looks everywhere"),
        ("detect", "top_k=3", 422, "unknown_parameter", "without then"),
        ("detect", "then=", 422, "invalid_parameter", "then"),
        ("detect", "then=nobody", 404, "model_not_found", "nobody"),
        ("detect", f"then={DETECTOR}", 422, "wrong_task", "detection"),
        ("detect", f"then={CLASSIFIER}&top_k=1001", 422, "invalid_parameter", "1000"),
        ("detect", f"then={CLASSIFIER}&max_detections=101", 413, "too_many_regions", "101"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    http: httpx.Client, cat: bytes, path: str, query: str, status: int, code: str, words: str
) -> None:
    reply = http.post(f"/v1/{path}?{query}", content=cat, headers=JPEG)
    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (status, code)
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]


def test_json_has_no_nan(http: httpx.Client, cat: bytes) -> None:
    image = base64.b64encode(cat).decode()
    body = f'{{"images": [{{"base64": "{image}"}}], "regions": [[NaN, 0, 1, 1]]}}'
    reply = http.post("/v1/classify", content=body, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed_body")


def test_crops_are_counted_for_their_model(http: httpx.Client, cat: bytes) -> None:
    def counted() -> float:
        name = f'boxport_images_total{{model="{CLASSIFIER}",outcome="ok"}}'
        lines = http.get("/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = counted()
    http.post("/v1/classify", content=cat, headers=JPEG, params={"regions": TEXTS})
    assert counted() - before == 2


@pytest.fixture
def client(server: Server) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(server.url.removeprefix("http://"))


def test_an_ensemble_of_two_models_speaks_v2(
    client: triton.InferenceServerClient, http: httpx.Client, cat: bytes
) -> None:
    name = f"{DETECTOR}+{CLASSIFIER}"
    assert client.is_model_ready(name)
    metadata = client.get_model_metadata(name)
    assert (metadata["name"], metadata["platform"]) == (name, "ensemble")
    steps = client.get_model_config(name)["ensemble_scheduling"]["step"]
    assert [step["model_name"] for step in steps] == [DETECTOR, CLASSIFIER]
    image = triton.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([cat], object))
    outputs = [
        triton.InferRequestedOutput(one)
        for one in ("boxes", "class_scores", "class_labels", "class_label_names")
    ]
    result = client.infer(name, [image], outputs=outputs, parameters={"top_k": 2})
    assert result.get_response()["model_name"] == name
    params = {"model": DETECTOR, "then": CLASSIFIER, "top_k": 2}
    answer = http.post("/v1/detect", content=cat, headers=JPEG, params=params).json()
    detections = answer["results"][0]["detections"]
    assert np.allclose(result.as_numpy("class_scores")[0], scores(detections), atol=1e-5)
    names = [[text.decode() for text in row] for row in result.as_numpy("class_label_names")[0]]
    assert names == [[one["label"] for one in row["classifications"]] for row in detections]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"{CLASSIFIER}+{DETECTOR}", "wrong_task"),
        (f"{DETECTOR}+nobody", "model_not_found"),
        (f"{DETECTOR}+{CLASSIFIER}/versions/2", "model_not_found"),
        (f"{DETECTOR}+", "model_not_found"),
    ],
)
def test_what_is_no_ensemble_is_refused(http: httpx.Client, name: str, code: str) -> None:
    reply = http.get(f"/v2/models/{name}")
    assert reply.json()["error"].startswith(f"{code}: ")


@pytest.mark.parametrize("command", REQUESTS, ids=["then", "regions"])
def test_the_pages_requests_are_answered(command: str, server: Server) -> None:
    command = command.replace("http://localhost:3000", server.url)
    reply = subprocess.check_output(["bash", "-euc", command], cwd=ROOT, timeout=60)
    (result,) = json.loads(reply)["results"]
    rows = result["detections"] if "detections" in result else result["regions"]
    assert "cat" in rows[0]["classifications"][0]["label"]


def test_the_pages_code_runs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").symlink_to(DOCS)
    monkeypatch.setenv("BOXPORT_URL", server.url)
    code = block_with(PAGE, "python", "then=")
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    lines = printed.splitlines()
    assert lines[0].startswith("cat ")
    assert lines[-1].startswith("Box(left=")
    assert (tmp_path / "cat-boxes.png").is_file()
