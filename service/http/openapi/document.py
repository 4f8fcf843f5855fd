"""The OpenAPI description of /v1, for people and for generators of clients.

BentoML writes one too, at the same path: it knows one form of a request only, and faults that are
not ours. The shapes are those of `schemas`, the faults those of `problems`.
"""

import json
from functools import cache
from typing import Any

from pydantic import BaseModel

from service.http.openapi.examples import CLASSIFY_ANSWERS, DETECT_ANSWERS, MODEL, problem_examples
from service.http.openapi.json_schemas import reference, reply_schemas, request_schemas
from service.http.openapi.replies import header_components, json_reply, replies, text_reply
from service.http.openapi.requests import json_body, question
from service.http.openapi.schemas import (
    ClassifyAnswer,
    DetectAnswer,
    ImageUrl,
    InlineImage,
    ModelList,
    ProblemDetails,
    UnreadableModel,
)
from service.parameters import ClassifyParameters, DetectParameters
from service.telemetry.server_timing import HEADER as TIMING_HEADER

Description = dict[str, Any]

# The codes that a route may answer: any that a key may be asked for; one that names a model in its
# path, and administers it; and one that is asked about images.
GATE = ("unauthenticated", "forbidden", "rate_limited", "internal_error", "not_ready")
NAMED = (*GATE, "model_not_found", "not_found")
ADMINISTRATION = (*NAMED, "model_unloaded", "model_unfit")
QUESTION = (
    *GATE,
    *("empty_body", "malformed_body", "body_too_large", "unsupported_media_type"),
    *("too_many_images", "image_too_large", "empty_image", "invalid_image"),
    *("url_not_allowed", "url_too_large", "url_unreachable"),
    *("invalid_parameter", "unknown_parameter"),
    *("model_not_found", "model_unloaded", "wrong_task"),
    *("overloaded", "deadline_exceeded"),
)

ACTIONS = ("load", "unload", "pin", "unpin")
NEEDS_A_KEY: tuple[dict[str, list[str]], ...] = ({"bearer": []}, {"key": []})

ABOUT = """\
Image classifiers and detectors as a service.

A request brings one or more images in any of three forms: a form (`multipart/form-data`), one image
as the body, or JSON. Every fault is a problem of RFC 9457 with a `code` that programs may rely on.
`retryable` says whether the same request may succeed later; then the header Retry-After says when.

The models also speak the Open Inference Protocol, under `/v2`."""


@cache
def describe_api() -> Description:
    """The whole description, in OpenAPI 3.1."""
    parameters = request_schemas([DetectParameters, ClassifyParameters])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Boxport",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, *NEEDS_A_KEY],
        "tags": [
            {"name": "questions", "description": "What is in an image."},
            {"name": "models", "description": "What is served."},
            {"name": "operation", "description": "For probes and for Prometheus."},
        ],
        "paths": {
            **_questions(parameters),
            **_models(),
            "/metrics": {"get": _probe("metrics", "What Prometheus reads", GATE)},
            "/livez": {"get": _probe("live", "Whether the process lives", ())},
            "/readyz": {"get": _probe("ready", "Whether requests may be sent", ("not_ready",))},
        },
        "components": {
            "schemas": _schemas(parameters),
            "examples": problem_examples(),
            "headers": header_components(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def dump_api() -> str:
    """The description as a file, from which clients are made."""
    return json.dumps(describe_api(), indent=2, ensure_ascii=False) + "\n"


def _schemas(parameters: Description) -> Description:
    """All that has a name, by name."""
    requests = {
        **parameters,
        **request_schemas([InlineImage, ImageUrl]),
        "DetectRequest": json_body(parameters["DetectParameters"]["properties"]),
        "ClassifyRequest": json_body(parameters["ClassifyParameters"]["properties"]),
    }
    shapes: list[type[BaseModel]] = [
        DetectAnswer,
        ClassifyAnswer,
        ModelList,
        ProblemDetails,
    ]
    return dict(sorted({**requests, **reply_schemas(shapes)}.items()))


def _questions(parameters: Description) -> Description:
    """The routes that take images."""
    detect = {
        "operationId": "detect",
        "tags": ["questions"],
        "summary": "Find objects",
        **question(
            "/v1/detect",
            parameters["DetectParameters"]["properties"],
            {"photo": "cat.jpg", "score_threshold": 0.5, "labels": ["cat", "dog"]},
            reference("DetectRequest"),
        ),
        "responses": replies(
            json_reply("The objects of each image", DetectAnswer, DETECT_ANSWERS, TIMING_HEADER),
            QUESTION,
        ),
    }
    classify = {
        "operationId": "classify",
        "tags": ["questions"],
        "summary": "Say what is shown",
        **question(
            "/v1/classify",
            parameters["ClassifyParameters"]["properties"],
            {"photo": "coffee.jpg", "top_k": 3},
            reference("ClassifyRequest"),
        ),
        "responses": replies(
            json_reply(
                "The classes of each image", ClassifyAnswer, CLASSIFY_ANSWERS, TIMING_HEADER
            ),
            QUESTION,
        ),
    }
    return {"/v1/detect": {"post": detect}, "/v1/classify": {"post": classify}}


def _models() -> Description:
    """The routes that tell of models, and the one that changes them."""
    about = "The shipped detector, its longer lists cut"
    listed = {"models": {"summary": about, "value": {"models": [MODEL]}}}
    shown = {"model": {"summary": about, "value": MODEL}}
    either = {"anyOf": [reference("ModelDescription"), reference(UnreadableModel)]}
    model = json_reply("The model's manifest, and how it is served", either, shown)
    name, version = _path_part("name"), _path_part("version", "1")
    action = {**_path_part("action", "load"), "schema": {"type": "string", "enum": [*ACTIONS]}}

    def operation(identifier: str, summary: str, *parts: Description) -> Description:
        parameters = {"parameters": [*parts]} if parts else {}
        return {"operationId": identifier, "tags": ["models"], "summary": summary, **parameters}

    return {
        "/v1/models": {
            "get": {
                **operation("listModels", "List all models"),
                "responses": replies(json_reply("Every model", ModelList, listed), GATE),
            }
        },
        "/v1/models/{name}": {
            "get": {
                **operation("showModel", "Show the version that a model's name means", name),
                "responses": replies(model, NAMED),
            }
        },
        "/v1/models/{name}/{version}": {
            "get": {
                **operation("showVersion", "Show one version of a model", name, version),
                "responses": replies(model, NAMED),
            }
        },
        "/v1/models/{name}/{version}/{action}": {
            "post": {
                **operation("administer", "Load, unload or pin a model", name, version, action),
                "description": "Needs a key of the scope admin. What is done lasts until the"
                " service stops, and the answer comes once it is done.",
                "security": [*NEEDS_A_KEY],
                "responses": replies(model, ADMINISTRATION),
            }
        },
    }


def _probe(identifier: str, summary: str, codes: tuple[str, ...]) -> Description:
    keys: Description = {} if "unauthenticated" in codes else {"security": []}
    return {
        "operationId": identifier,
        "tags": ["operation"],
        "summary": summary,
        **keys,
        "responses": replies(text_reply("Yes" if not keys else "Text"), codes),
    }


def _path_part(name: str, example: str = "efficientdet_lite0_voc") -> Description:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "example": example,
    }
