"""The OpenAPI description of /v1, for people and for generators of clients.

BentoML writes one too, at the same path: it knows one form of a request only, and errors that are
not ours. Paths, methods, keys and what is met on the way to an endpoint are those of the table of
routes; the shapes are those of `schemas`, the errors those of `problems`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel

from service.access.key_file import Scope
from service.http.context import Route
from service.http.openapi.examples import (
    CLASSIFY_ANSWERS,
    DETECT_ANSWERS,
    MODEL,
    ROLLOUT,
    problem_examples,
)
from service.http.openapi.generators import for_generators
from service.http.openapi.json_schemas import reference, reply_schemas, request_schemas
from service.http.openapi.model_schemas import ModelList, UnreadableModel
from service.http.openapi.replies import header_components, json_reply, replies, text_reply
from service.http.openapi.requests import image_request
from service.http.openapi.schemas import (
    ClassifyAnswer,
    ClassifyForm,
    ClassifyRequest,
    DetectAnswer,
    DetectForm,
    DetectRequest,
    ProblemDetails,
)
from service.http.replies import TIMING_HEADER
from service.http.v1 import ACTIONS
from service.parameters import ClassifyParameters, DetectParameters
from service.rollout.plan import Canary, Shadow
from service.rollout.report import RolloutReport

Description = dict[str, Any]

# The codes that may be met where a key may be asked for, where the path names a model, where it is
# administered, and where images are brought.
ACCESS_CODES = (
    *("unauthenticated", "forbidden", "rate_limited", "internal_error", "not_ready"),
    *("request_too_slow", "head_too_large"),
)
MODEL_CODES = ("model_not_found", "not_found")
ADMIN_CODES = ("model_unloaded", "model_unfit")
IMAGE_CODES = (
    *("empty_body", "malformed_body", "body_too_large", "unsupported_media_type"),
    *(
        "too_many_images",
        "too_many_regions",
        "region_outside",
        "image_too_large",
        "empty_image",
        "invalid_image",
    ),
    *("url_not_allowed", "url_too_large", "url_unreachable"),
    *("invalid_parameter", "unknown_parameter"),
    *("model_not_found", "model_unloaded", "wrong_task"),
    *("overloaded", "deadline_exceeded"),
)

ORDER_CODES = (
    *("malformed_body", "body_too_large", "unsupported_media_type"),
    *("invalid_parameter", "unknown_parameter", "overloaded"),
)

NEEDS_A_KEY: tuple[dict[str, list[str]], ...] = ({"bearer": []}, {"key": []})
SECURITY: dict[Scope | None, Description] = {
    None: {"security": []},
    "infer": {},  # the whole API's
    "admin": {"security": [*NEEDS_A_KEY]},
}
PATH_PARAMETERS: dict[str, Description] = {
    "name": {"schema": {"type": "string"}, "example": "efficientdet_lite0_voc"},
    "version": {"schema": {"type": "string"}, "example": "1"},
    "action": {"schema": {"type": "string", "enum": [*ACTIONS]}, "example": "load"},
}

ABOUT = """\
Image classifiers and detectors as a service.

A request brings one or more images in any of three forms: a form (`multipart/form-data`), one image
as the body, or JSON. Every error is a problem of RFC 9457 with a `code` that programs may rely on.
`retryable` says whether the same request may succeed later; then the header Retry-After says when.

The models also speak the Open Inference Protocol, under `/v2`."""

START = {
    "shadow": "Run copies of answered requests on a version",
    "canary": "Have a version answer a share of the requests",
}
ABOUT_STARTING = """\
Needs a key of the scope admin. In place of the model's last rollout; the answer comes once the
version is loaded, in a process of its own. How it goes on: docs/rollout.md."""


@dataclass(frozen=True)
class Operation:
    """What the table of routes does not say of one.

    answer: the reply of 200. ``codes``: that may be met beside those which the route brings.
    more: further fields, as OpenAPI has them.
    """

    identifier: str
    tag: str
    summary: str
    answer: Description
    codes: tuple[str, ...] = ()
    more: Description = field(default_factory=dict)


@cache
def describe_api(routes: tuple[Route, ...], root: str = "") -> Description:
    """The whole description of those of ``routes`` that are described, in OpenAPI 3.1.

    root: the setting root_path.
    """
    parameters = request_schemas([DetectParameters, ClassifyParameters])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Boxport",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "security": [{}, *NEEDS_A_KEY],
        "tags": [
            {"name": "inference", "description": "What is in an image."},
            {"name": "models", "description": "What is served."},
            {"name": "rollouts", "description": "Versions that are tried on live traffic."},
            {"name": "operation", "description": "For probes and for Prometheus."},
        ],
        "paths": _paths(routes, {**_inference(parameters), **_models(), **_probes()}),
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


def dump_api(routes: tuple[Route, ...], *, generators: bool = False) -> str:
    """The description as a file, from which clients are made: by hand, or by ``generators``."""
    api = describe_api(routes)
    return (
        json.dumps(for_generators(api) if generators else api, indent=2, ensure_ascii=False) + "\n"
    )


def _schemas(parameters: Description) -> Description:
    """All that has a name, by name."""
    answers: list[type[BaseModel]] = [
        *(DetectAnswer, ClassifyAnswer, ModelList, RolloutReport, ProblemDetails)
    ]
    schemas = {
        **parameters,
        **request_schemas([DetectForm, ClassifyForm]),
        **request_schemas([DetectRequest, ClassifyRequest, Shadow, Canary], null=True),
        **reply_schemas(answers),
    }
    return dict(sorted(schemas.items()))


def _paths(routes: Iterable[Route], operations: dict[str, Operation]) -> Description:
    """Each of ``routes`` that has an operation; ``operations`` are by method and template."""
    paths: dict[str, Description] = {}
    for route in routes:
        for method in route.methods:
            if operation := operations.get(f"{method} {route.template}"):
                described = _describe(route, method, operation)
                paths.setdefault(route.template, {})[method.lower()] = described
    return paths


def _describe(route: Route, method: str, operation: Operation) -> Description:
    named = re.findall(r"\{(\w+)\}", route.template)
    in_path = [
        {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]} for name in named
    ]
    return {
        "operationId": operation.identifier,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"parameters": in_path} if in_path else {}),
        **operation.more,
        **SECURITY[route.scope_of(method)],
        "responses": replies(operation.answer, {*operation.codes, *_codes(route, method)}),
    }


def _codes(route: Route, method: str) -> tuple[str, ...]:
    """Of the problems that a request may meet on its way to the endpoint, and there."""
    return (
        *(ACCESS_CODES if route.scope else ()),
        *(MODEL_CODES if "{name}" in route.template else ()),
        *(ADMIN_CODES if route.scope_of(method) == "admin" else ()),
        *(IMAGE_CODES if route.brings_images else ()),
    )


def _inference(parameters: Description) -> dict[str, Operation]:
    """The routes that take images."""

    def operation(name: str, summary: str, answer: Description, examples: Description) -> Operation:
        fields = parameters[f"{name.title()}Parameters"]["properties"]
        more = image_request(f"/v1/{name}", name.title(), fields, examples)
        return Operation(name, "inference", summary, answer, more=more)

    detected = json_reply("The objects of each image", DetectAnswer, DETECT_ANSWERS, TIMING_HEADER)
    classified = json_reply(
        "The classes of each image", ClassifyAnswer, CLASSIFY_ANSWERS, TIMING_HEADER
    )
    cat = {"photo": "cat.jpg", "score_threshold": 0.5, "labels": ["cat", "dog"]}
    coffee = {"photo": "coffee.jpg", "top_k": 3}
    return {
        "POST /v1/detect": operation("detect", "Find objects", detected, cat),
        "POST /v1/classify": operation("classify", "Say what is shown", classified, coffee),
    }


def _models() -> dict[str, Operation]:
    """The routes that tell of models, and the one that changes them."""
    about = "The shipped detector, its longer lists cut"
    listed = {"models": {"summary": about, "value": {"models": [MODEL]}}}
    shown = {"model": {"summary": about, "value": MODEL}}
    either = {"anyOf": [reference("ModelDescription"), reference(UnreadableModel)]}
    model = json_reply("The model's manifest, and how it is served", either, shown)
    every = json_reply("Every model", ModelList, listed)
    by_name = "Show the version that a model's name means"
    admin = {
        "description": "Needs a key of the scope admin. What is done lasts until the service stops,"
        " and the answer comes once it is done."
    }
    return {
        "GET /v1/models": Operation("listModels", "models", "List all models", every),
        "GET /v1/models/{name}": Operation("showModel", "models", by_name, model),
        "GET /v1/models/{name}/{version}": Operation(
            "showVersion", "models", "Show one version of a model", model
        ),
        "POST /v1/models/{name}/{version}/{action}": Operation(
            "administer",
            "models",
            "Load, unload or pin a model, or end its rollout",
            model,
            more=admin,
        ),
        **_rollouts(),
    }


def _rollouts() -> dict[str, Operation]:
    """The routes of versions that are tried on live traffic."""
    shown = {"running": {"summary": "A canary of an int8 version", "value": ROLLOUT}}
    known = json_reply("What is known of it", RolloutReport, shown)
    operations = {}
    for name, order, example in (
        ("shadow", Shadow, {"share": 0.1}),
        ("canary", Canary, {"share": 0.05, "sticky": "header X-User"}),
    ):
        template = f"/v1/models/{{name}}/{{version}}/{name}"
        title = name.title()
        operations[f"GET {template}"] = Operation(
            f"show{title}", "rollouts", "Show how a version on trial does", known
        )
        body = {"schema": reference(order), "examples": {name: {"summary": name, "value": example}}}
        asked = {"required": True, "content": {"application/json": body}}
        operations[f"POST {template}"] = Operation(
            f"start{title}",
            "rollouts",
            START[name],
            known,
            codes=ORDER_CODES,
            more={"description": ABOUT_STARTING, "requestBody": asked},
        )
    return operations


def _probes() -> dict[str, Operation]:
    text, yes = text_reply("Text"), text_reply("Yes")
    ready = "Whether requests may be sent"
    return {
        "GET /metrics": Operation("metrics", "operation", "What Prometheus reads", text),
        "GET /livez": Operation("live", "operation", "Whether the process lives", yes),
        "GET /readyz": Operation("ready", "operation", ready, yes, codes=("not_ready",)),
    }
