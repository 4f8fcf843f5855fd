"""What is mounted beside the BentoML APIs: /v1/models, and a problem for all else under /v1."""

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.replies import json_reply, problem_reply, request_id_of
from service.engine.engine import Engine
from service.problems import Problem

ENDPOINTS = {"/v1/detect": "POST", "/v1/classify": "POST", "/v1/models": "GET"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def list_models(request: Request) -> Response:
    """Every model's manifest, labels included."""
    models = [model.manifest.to_json() for model in _engine().models]
    return json_reply({"models": models}, request_id_of(request))


async def show_model(request: Request) -> Response:
    """The manifest of the model that the path names, with or without a version."""
    request_id = request_id_of(request)
    try:
        model = _engine().find(request.path_params["reference"])
    except Problem as problem:
        return problem_reply(problem, request_id)
    return json_reply(model.manifest.to_json(), request_id)


async def refuse(request: Request) -> Response:
    """A path that is not there, or one that is asked in the wrong way."""
    path, request_id = request.url.path, request_id_of(request)
    endpoint = next((e for e in ENDPOINTS if path == e or path.startswith(f"{e}/")), None)
    if endpoint is None or (path != endpoint and ENDPOINTS[endpoint] == "POST"):
        known = ", ".join(f"{method} {endpoint}" for endpoint, method in ENDPOINTS.items())
        return problem_reply(
            Problem("not_found", f"There is nothing at {path}; there are {known}."), request_id
        )
    method = ENDPOINTS[endpoint]
    problem = Problem("method_not_allowed", f"{path} takes {method}, not {request.method}.")
    return problem_reply(problem, request_id, {"Allow": method})


def _engine() -> Engine:
    """The engine of the service instance in this process."""
    engine: Engine = bentoml.get_current_service().engine
    return engine


routes_app = Starlette(
    routes=[
        Route("/v1/models", list_models),
        Route("/v1/models/{reference:path}", show_model),
        Route("/v1/{path:path}", refuse, methods=METHODS),
    ]
)
