"""The description for generators: valid, and without what they stumble over."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from service.http.openapi.document import describe_api
from service.http.openapi.generators import RENAMED, for_generators
from service.http.routes import ROUTES
from service.parameters import ClassifyParameters, DetectParameters

WHOLE = describe_api(ROUTES)
API = for_generators(WHOLE)
SCHEMAS = API["components"]["schemas"]


def operations() -> Iterator[dict[str, Any]]:
    for item in API["paths"].values():
        yield from item.values()


def as_of_2020(schema: Any) -> Any:
    """Without OpenAPI 3.0's own way to exclude a bound."""
    return json.loads(json.dumps(schema).replace('"exclusiveMinimum": true, ', ""))


def test_it_is_valid_and_describes_the_same_operations() -> None:
    OpenAPIV30SpecValidator(API).validate()
    assert {p: [*item] for p, item in API["paths"].items()} == {
        p: [*item] for p, item in WHOLE["paths"].items()
    }


def test_a_request_has_one_form_and_a_parameter_one_place() -> None:
    bodies = [
        operation["requestBody"]["content"]
        for operation in operations()
        if "requestBody" in operation
    ]
    assert [list(content) for content in bodies] == [["application/json"]] * 4
    for operation in operations():
        assert {row["in"] for row in operation.get("parameters", ())} <= {"path", "header"}
    for name, kind in (("DetectBody", DetectParameters), ("ClassifyBody", ClassifyParameters)):
        assert SCHEMAS[name]["properties"].keys() == {"images", *kind.model_fields}
        assert SCHEMAS[name]["required"] == ["images"]


def test_no_body_is_called_as_a_call_s_parameters() -> None:
    calls = {f"{operation['operationId']}request".lower() for operation in operations()}
    assert not calls & {name.lower() for name in SCHEMAS}
    assert set(RENAMED.values()) <= SCHEMAS.keys()


def test_there_are_no_unions_no_defaults_and_no_closed_objects() -> None:
    text = json.dumps({"schemas": SCHEMAS, "paths": API["paths"]})
    for word in ("anyOf", "oneOf", "allOf", "prefixItems", "const", "null"):
        assert f'"{word}"' not in text
    assert '"default":' not in text.replace(json.dumps(SCHEMAS["Defaults"]), "")
    assert '"additionalProperties": false' not in text
    assert "enum" not in SCHEMAS["ErrorCode"], "later versions add others"


def test_what_is_of_all_kinds_is_required() -> None:
    assert SCHEMAS["Model"]["required"] == ["name", "version", "status"]
    assert SCHEMAS["Model"]["properties"]["task"]["enum"] == ["detection", "classification"]
    assert SCHEMAS["DetectResult"]["properties"].keys() == {
        *("width", "height", "novelty", "detections", "error")
    }
    assert "required" not in SCHEMAS["DetectResult"]
    assert set(SCHEMAS["InputSpec"]["properties"]["resize"]["enum"]) == {
        *("letterbox", "shorter_side", "stretch", "centre_crop")
    }


def test_the_examples_are_what_is_described() -> None:
    checked = 0
    for operation in operations():
        contents = [reply["content"] for reply in operation["responses"].values()]
        for content in (*contents, operation.get("requestBody", {}).get("content", {})):
            for form in content.values():
                for example in form.get("examples", {}).values():
                    if "$ref" not in example:
                        schema = {**form["schema"], "components": API["components"]}
                        schema = json.loads(
                            json.dumps(schema).replace('"exclusiveMinimum": true, ', "")
                        )
                        Draft202012Validator(schema).validate(example["value"])
                        checked += 1
    assert checked > 8
