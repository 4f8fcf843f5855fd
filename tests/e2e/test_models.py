"""GET /v1/models, the health endpoints and the description of the API."""

from pathlib import Path

import httpx
import pytest

from service.manifest import MANIFEST, read_manifest
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters


def test_every_model_of_the_store_is_listed(http: httpx.Client, store: Path) -> None:
    models = http.get("/v1/models").json()["models"]
    statuses = [model.pop("status") for model in models]
    assert all(model.pop("compared_with") for model in models)
    manifests = [MANIFEST.validate_python(model) for model in models]
    assert manifests == [read_manifest(path) for path in sorted(store.glob("*/*/manifest.json"))]
    for manifest, status in zip(manifests, statuses, strict=True):
        assert (status["state"], status["pinned"]) == ("ready", False)
        # of the two detectors the other has the higher AP
        assert status["is_default"] == (manifest.name != "efficientdet_lite0_voc")
        assert (status["provider"], status["precision"]) == ("cpu", manifest.precision)
        assert status["threads"] == 1
        assert status["max_batch_size"] == 2
        assert status["session_bytes"] >= 1_000_000


def test_one_model_by_name_and_by_version(http: httpx.Client) -> None:
    by_name = http.get("/v1/models/efficientdet_lite0_voc").json()
    assert by_name == http.get("/v1/models/efficientdet_lite0_voc/1").json()
    assert by_name["labels"][7] == {"id": 8, "name": "cat"}
    assert by_name["accuracy"]["metrics"]["ap50"] >= 0.35


def test_health_and_metrics(http: httpx.Client) -> None:
    assert http.get("/livez").status_code == 200
    assert http.get("/readyz").status_code == 200
    metrics = http.get("/metrics").text
    assert "boxport_requests_total{" in metrics
    assert "bentoml_" not in metrics, "their labels are whatever paths strangers ask for"


@pytest.mark.parametrize(
    ("path", "parameters", "rows"),
    [
        ("/v1/detect", DetectParameters, ["DetectedImage"]),
        ("/v1/classify", ClassifyParameters, ["ClassifiedImage", "ClassifiedRegions"]),
    ],
)
def test_apis_stand_in_the_openapi_description(
    http: httpx.Client, path: str, parameters: type[RequestParameters], rows: list[str]
) -> None:
    description = http.get("/docs.json").json()
    post = description["paths"][path]["post"]
    shapes = description["components"]["schemas"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    form = shapes[form["$ref"].split("/")[-1]]
    assert form["properties"].keys() == {"images", *parameters.model_fields}
    assert form["required"] == ["images"]
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]
    answer = shapes[answer["$ref"].split("/")[-1]]
    kinds = {
        kind["$ref"].split("/")[-1] for kind in answer["properties"]["results"]["items"]["anyOf"]
    }
    assert kinds == {*rows, "FailedImage"}
