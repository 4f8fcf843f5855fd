"""The OpenAPI description: valid, complete, and its examples true."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.http.descriptions import describe
from service.http.openapi.document import describe_api
from service.http.openapi.examples import CAT, CLASSIFIER, COFFEE, DETAILS, DETECTOR, MODEL, PIXEL
from service.http.routes import ROUTES
from service.imaging.images import decode_image
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import KINDS
from service.repository.store import Candidate
from service.repository.version import ModelVersion, State
from tests.paths import ROOT

GOLDEN = ROOT / "clients" / "contract"
API = describe_api(ROUTES)
PARAMETERS = {"/v1/detect": DetectParameters, "/v1/classify": ClassifyParameters}
FOR_CLIENTS = {
    "ClassifyAnswer",
    "ClassifyParameters",
    "ClassifyRequest",
    "ClassifiedImage",
    "Classification",
    "DetectAnswer",
    "DetectParameters",
    "DetectRequest",
    "DetectedImage",
    "Detection",
    "ErrorCode",
    "FailedImage",
    "ModelDescription",
    "ModelList",
    "ProblemDetails",
}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in API["paths"].items():
        for operation in item.values():
            yield path, operation


def problems(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {s: reply for s, reply in operation["responses"].items() if s != "200"}


def assert_valid(value: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator({**schema, "components": API["components"]}).validate(value)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["response"]["body"]


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(API).validate()


def test_every_route_of_v1_is_in_it() -> None:
    routes = {(row.template, m) for row in ROUTES for m in row.methods if row.template[:3] == "/v1"}
    described = {(path, method.upper()) for path, item in API["paths"].items() for method in item}
    assert routes <= described
    assert {path for path, _ in described} <= {row.template for row in ROUTES}


def test_who_needs_a_key_is_told() -> None:
    scopes = {
        (row.template, method.lower()): row.scope_of(method)
        for row in ROUTES
        for method in row.methods
    }
    keys = [{"bearer": []}, {"key": []}]
    for path, item in API["paths"].items():
        for method, operation in item.items():
            wanted = {None: [], "infer": [{}, *keys], "admin": keys}[scopes[path, method]]
            assert operation.get("security", API["security"]) == wanted
            assert ("401" in operation["responses"]) == bool(wanted)


def test_every_code_is_explained_where_it_may_be_met() -> None:
    told = set()
    for _, operation in operations():
        for status, reply in problems(operation).items():
            codes = reply["content"]["application/problem+json"]["examples"].keys()
            assert {str(KINDS[code].status) for code in codes} == {status}
            for code in codes:
                assert f"`{code}`: {KINDS[code].meaning}" in reply["description"]
            told |= codes
    assert told == KINDS.keys() - {"method_not_allowed"}, "which is of what is not described"
    assert API["components"]["schemas"]["ErrorCode"]["enum"] == list(KINDS)
    assert DETAILS.keys() == KINDS.keys()


def test_headers_of_replies() -> None:
    for _, operation in operations():
        for status, reply in operation["responses"].items():
            assert "X-Request-ID" in reply["headers"]
            codes = reply["content"].get("application/problem+json", {}).get("examples", ())
            assert ("Retry-After" in reply["headers"]) == any(
                KINDS[code].retryable for code in codes
            )
            assert ("WWW-Authenticate" in reply["headers"]) == (status == "401")
            assert reply["headers"].keys() <= API["components"]["headers"].keys()
    for path in PARAMETERS:
        assert "Server-Timing" in API["paths"][path]["post"]["responses"]["200"]["headers"]


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_say_type_range_and_default(path: str) -> None:
    rows = {row["name"]: row for row in API["paths"][path]["post"]["parameters"]}
    assert rows.keys() >= PARAMETERS[path].model_fields.keys()
    for name, row in rows.items():
        schema = row["schema"]
        assert row["description"]
        assert "default" not in schema, "generated clients would send it"
        assert "Default: " in row["description"]
        if schema["type"] in ("number", "integer"):
            assert "minimum" in schema
            assert "maximum" in schema or name in ("top_k", "X-Request-Timeout-Ms")


@pytest.mark.parametrize("path", PARAMETERS)
def test_all_forms_take_all_parameters(path: str) -> None:
    names = {"images", *PARAMETERS[path].model_fields}
    forms = API["paths"][path]["post"]["requestBody"]["content"]
    assert forms.keys() == {
        "multipart/form-data",
        "application/json",
        "image/*",
        "application/octet-stream",
    }
    form, body = (
        API["components"]["schemas"][forms[media_type]["schema"]["$ref"].split("/")[-1]]
        for media_type in ("multipart/form-data", "application/json")
    )
    for schema in (form, body):
        assert schema["properties"].keys() == names
        assert (schema["required"], schema["additionalProperties"]) == (["images"], False)
    assert "null" not in json.dumps(form)
    for name in PARAMETERS[path].model_fields:
        assert {"type": "null"} in body["properties"][name]["anyOf"]


def test_examples_are_what_is_described() -> None:
    count = 0
    for _, operation in operations():
        contents = [reply["content"] for reply in operation["responses"].values()]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for content in contents:
            for media_type, form in content.items():
                if media_type == "text/plain":
                    continue
                assert form["examples"]
                for example in form["examples"].values():
                    if "$ref" in example:
                        example = API["components"]["examples"][example["$ref"].split("/")[-1]]
                    assert_valid(example["value"], form["schema"])
                    count += 1
    assert count > 50


def test_image_in_the_examples_is_one() -> None:
    assert decode_image(base64.b64decode(PIXEL), max_pixels=1).size == (1, 1)


def test_examples_of_problems_are_of_their_code() -> None:
    for code, example in API["components"]["examples"].items():
        value = example["value"]
        assert (value["code"], value["status"]) == (code, KINDS[code].status)
        assert value["retryable"] == KINDS[code].retryable


def test_examples_of_answers_are_the_services_own() -> None:
    detected, classified = golden("detect"), golden("classify")
    assert (detected["model"], detected["results"]) == (DETECTOR, [CAT])
    assert (classified["model"], classified["results"]) == (CLASSIFIER, [COFFEE])
    real = next(m for m in golden("models")["models"] if m["name"] == DETECTOR["name"])
    real["status"].pop("session_bytes")
    assert is_part(
        {**MODEL, "status": {k: v for k, v in MODEL["status"].items() if k != "session_bytes"}},
        real,
    )


def is_part(part: Any, whole: Any) -> bool:
    """Whether ``part`` is ``whole`` with lists and objects cut short."""
    if isinstance(part, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    return bool(part == whole)


def test_clients_have_a_name_for_each_shape() -> None:
    assert API["components"]["schemas"].keys() >= FOR_CLIENTS


def test_replies_leave_out_what_is_not_set() -> None:
    status = API["components"]["schemas"]["ModelStatus"]
    assert status["required"] == ["state", "pinned", "is_default"]
    assert status["properties"]["threads"] == {
        "minimum": 1,
        "type": "integer",
        "description": "Of each run.",
    }
    manifest = API["components"]["schemas"]["ClassifierDescription"]
    assert {"schema_version", "task", "activation", "parity"} <= {*manifest["required"]}
    assert "accuracy" not in manifest["required"]
    assert set(API["components"]["schemas"]["Letterbox"]["required"]) >= {"fill", "antialias"}


def test_a_model_is_described_by_its_task() -> None:
    schemas = API["components"]["schemas"]
    assert "activation" not in schemas["DetectorDescription"]["properties"]
    assert schemas["ModelDescription"]["discriminator"]["propertyName"] == "task"
    assert schemas["InputSpec"]["discriminator"]["propertyName"] == "resize"
    with pytest.raises(ValidationError):
        assert_valid({**MODEL, "activation": "softmax"}, schemas["ModelDescription"])
    with pytest.raises(ValidationError):
        assert_valid({**MODEL["input"], "shorter_side": 256}, schemas["InputSpec"])


def test_package_that_cannot_be_read_is_described_too() -> None:
    entry = ModelVersion(
        ("pets", "3"), Candidate(Path("pets/3"), ()), State.FAILED, reason="no manifest"
    )
    models = API["components"]["schemas"]["ModelList"]
    assert_valid({"models": [MODEL, describe(entry)]}, models)
    with pytest.raises(ValidationError):
        assert_valid({"models": [{**MODEL, "parity": 1}]}, models)


def test_nothing_has_a_title_that_repeats_its_name() -> None:
    schemas = json.dumps(API["components"]["schemas"])
    assert '"title": "' not in schemas
