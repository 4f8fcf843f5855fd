"""GET /v1/models and /v1/models/{name}: what the service holds, from the models' manifests."""

from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.engine import Engine
from service.manifest import ModelManifest
from service.problems import Problem
from service.replies import json_reply, problem_reply, request_id_of


def describe(manifest: ModelManifest) -> dict[str, Any]:
    """A model as the list shows it: all of its manifest that a caller can use."""
    return manifest.model_dump(mode="json", exclude_none=True)


async def list_models(request: Request) -> Response:
    models = [describe(model.manifest) for model in _engine().models]
    return json_reply({"models": models}, request_id_of(request))


async def show_model(request: Request) -> Response:
    request_id = request_id_of(request)
    try:
        model = _engine().find(request.path_params["reference"])
    except Problem as problem:
        return problem_reply(problem, request_id)
    return json_reply(describe(model.manifest), request_id)


def _engine() -> Engine:
    """The engine of the service instance in this process."""
    engine: Engine = bentoml.get_current_service().engine
    return engine


models_app = Starlette(
    routes=[
        Route("/v1/models", list_models),
        Route("/v1/models/{reference:path}", show_model),
    ]
)
