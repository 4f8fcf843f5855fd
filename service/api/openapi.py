"""The OpenAPI description of /v1, for people and for generators of clients.

BentoML writes one too, at the same path: it knows one form of a request only, and faults that are
not ours. The shapes are those of `schemas`, the faults those of `problems`.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.exchange import REQUEST_ID_HEADER
from service.api.schemas import (
    ClassifyAnswer,
    DetectAnswer,
    ImageUrl,
    InlineImage,
    ProblemDetails,
)
from service.api.terms import PRIORITY_HEADER, TIMEOUT_HEADER
from service.engine.batcher import Priority
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.problems import KINDS, MEDIA_TYPE

Description = dict[str, Any]

# Of every route that a key may be asked for.
GATE = (401, 403, 429, 500, 503)
# What may be wrong with a request for a model, and with one that has images and parameters.
MODEL = (404, 409)
QUESTION = (400, 404, 409, 413, 415, 422, 504)
RAW_BODIES = ("image/*", "application/octet-stream")
ACTIONS = ("load", "unload", "pin", "unpin")
BINARY: Description = {"type": "string", "format": "binary"}
IMAGES: Description = {
    "type": "array",
    "minItems": 1,
    "items": BINARY,
    "description": "One or more image files.",
}


@cache
def describe_api() -> Description:
    """The whole description, in OpenAPI 3.1."""
    shapes: list[type[BaseModel]] = [
        DetectAnswer,
        ClassifyAnswer,
        InlineImage,
        ImageUrl,
        ProblemDetails,
    ]
    _, schemas = models_json_schema(
        [(shape, "validation") for shape in shapes], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Boxport",
            "version": "1",
            "description": "Image classifiers and detectors as a service.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": {
            "/v1/detect": _question("Find objects", DetectParameters, DetectAnswer),
            "/v1/classify": _question("Say what is shown", ClassifyParameters, ClassifyAnswer),
            "/v1/models": {"get": _reading("List all models", ())},
            "/v1/models/{name}": {"get": _reading("Show a model's newest version", ("name",))},
            "/v1/models/{name}/{version}": {
                "get": _reading("Show one version of a model", ("name", "version"))
            },
            "/v1/models/{name}/{version}/{action}": {"post": _administration()},
            "/metrics": {"get": _probe("What Prometheus reads", GATE)},
            "/livez": {"get": _probe("Whether the process lives", ())},
            "/readyz": {"get": _probe("Whether requests may be sent", (503,))},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _question(
    summary: str, parameters: type[RequestParameters], answer: type[BaseModel]
) -> Description:
    """POST of images in any of their forms."""
    nullable = parameters.model_json_schema()["properties"]
    fields = {name: _without_null(schema) for name, schema in nullable.items()}
    in_json = {**IMAGES, "items": {"oneOf": [_reference(InlineImage), _reference(ImageUrl)]}}
    return {
        "post": {
            "summary": f"{summary} in one or more images",
            "description": "A parameter stands in the query or in the body, not in both.",
            "operationId": summary.partition(" ")[0].lower() + answer.__name__,
            "parameters": [
                *(
                    {"name": name, "in": "query", "schema": schema}
                    for name, schema in fields.items()
                ),
                *_terms(),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": _body(IMAGES, fields),
                        "encoding": {"images": {"contentType": "image/*"}},
                    },
                    "application/json": {"schema": _body(in_json, nullable)},
                    **{kind: {"schema": BINARY} for kind in RAW_BODIES},
                },
            },
            "responses": {"200": _json_reply(_reference(answer)), **_problems(*QUESTION, *GATE)},
        }
    }


def _body(images: Description, fields: Description) -> Description:
    return {
        "type": "object",
        "properties": {"images": images, **fields},
        "required": ["images"],
        "additionalProperties": False,
    }


def _terms() -> list[Description]:
    """Headers that say how a request is to be served."""
    timeout = {"type": "integer", "minimum": 1, "description": "Milliseconds for the request."}
    priorities = {"type": "string", "enum": [priority.value for priority in Priority]}
    names = {"type": "string", "description": "Of the request, as logs and replies name it."}
    return [
        {"name": TIMEOUT_HEADER, "in": "header", "schema": timeout},
        {"name": PRIORITY_HEADER, "in": "header", "schema": priorities},
        {"name": REQUEST_ID_HEADER, "in": "header", "schema": names},
    ]


def _reading(summary: str, parts: tuple[str, ...]) -> Description:
    """GET of manifests, at a path with ``parts`` that vary."""
    problems = _problems(*(MODEL[:1] if parts else ()), *GATE)
    return {
        "summary": summary,
        "operationId": "models" + "".join(part.title() for part in parts),
        "parameters": [_path_part(part) for part in parts],
        "responses": {"200": _json_reply({"type": "object"}), **problems},
    }


def _administration() -> Description:
    action = {**_path_part("action"), "schema": {"type": "string", "enum": list(ACTIONS)}}
    return {
        **_reading("Load, unload, pin or unpin a model", ("name", "version")),
        "operationId": "administer",
        "parameters": [_path_part("name"), _path_part("version"), action],
        "responses": {"200": _json_reply({"type": "object"}), **_problems(*MODEL, *GATE)},
    }


def _probe(summary: str, statuses: tuple[int, ...]) -> Description:
    reply = {"description": "Yes", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"summary": summary, "responses": {"200": reply, **_problems(*statuses)}}


def _problems(*statuses: int) -> Description:
    """A reply for each status, which names the codes that it may have."""
    return {
        str(status): {
            "description": ", ".join(code for code, k in KINDS.items() if k.status == status),
            "content": {MEDIA_TYPE: {"schema": _reference(ProblemDetails)}},
        }
        for status in sorted(set(statuses))
    }


def _json_reply(schema: Description) -> Description:
    return {"description": "The answer", "content": {"application/json": {"schema": schema}}}


def _path_part(name: str) -> Description:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _reference(shape: type[BaseModel]) -> Description:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def _without_null(schema: Description) -> Description:
    """A form and a query leave out what is not given: they have no null."""
    (given,) = (one for one in schema["anyOf"] if one["type"] != "null")
    return {**given, "description": schema["description"]}
