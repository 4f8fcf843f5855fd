"""GET /v1/models, the health endpoints and the description of the API."""

from pathlib import Path

import httpx

from service.manifest import ModelManifest


def test_every_model_of_the_store_is_listed(http: httpx.Client, store: Path) -> None:
    models = http.get("/v1/models").json()["models"]
    manifests = [ModelManifest.model_validate(model) for model in models]
    assert manifests == [
        ModelManifest.read(path) for path in sorted(store.glob("*/*/manifest.json"))
    ]


def test_one_model_by_name_and_by_version(http: httpx.Client) -> None:
    by_name = http.get("/v1/models/efficientdet_lite0_voc").json()
    assert by_name == http.get("/v1/models/efficientdet_lite0_voc/1").json()
    assert by_name["labels"][7] == {"id": 8, "name": "cat"}
    assert by_name["accuracy"]["metrics"]["ap50"] >= 0.35


def test_health(http: httpx.Client) -> None:
    assert http.get("/livez").status_code == 200
    assert http.get("/readyz").status_code == 200
    assert "process_" in http.get("/metrics").text or http.get("/metrics").status_code == 200


def test_apis_stand_in_the_openapi_description(http: httpx.Client) -> None:
    paths = http.get("/docs.json").json()["paths"]
    for path in ("/v1/detect", "/v1/classify"):
        body = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert "images" in str(body) or "$ref" in body
