"""What is mounted beside the BentoML APIs: the models, their administration, the metrics, pages."""

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.answering import refusal
from service.http.exchange import Exchange
from service.http.openapi.document import describe_api
from service.http.pages import page_routes
from service.http.replies import json_reply
from service.http.v2.routes import v2_routes
from service.package import PackageError
from service.problems import Problem
from service.providers import ProviderError
from service.repository.version import ModelVersion
from service.worker import current_worker


async def list_models(request: Request) -> Response:
    """Every model's manifest, labels included, and how it is served."""
    models = [describe(slot) for slot in current_worker().engine.repository.versions]
    return json_reply({"models": models}, Exchange.of(request.scope).request_id)


async def show_model(request: Request) -> Response:
    """The model that the path names, with or without a version, even if it cannot be asked."""
    exchange = Exchange.of(request.scope)
    try:
        slot = current_worker().engine.repository.show(request.path_params["reference"])
    except Problem as problem:
        return refusal(exchange, problem)
    return json_reply(describe(slot), exchange.request_id)


def describe(slot: ModelVersion) -> dict[str, Any]:
    """A model's manifest, and under "status" how it is served.

    The status says, of a model that is loaded, its layout; and of one whose newest package is
    unfit, the reason.
    """
    name, version = slot.reference
    manifest = slot.manifest.to_json() if slot.manifest else {"name": name, "version": version}
    status: dict[str, Any] = {"state": slot.state.value, "pinned": slot.pinned}
    if slot.reason is not None:
        status["reason"] = slot.reason
    if (model := slot.model) is not None:
        layout = model.layout
        status.update(
            provider=layout.provider,
            precision=layout.precision,
            threads=layout.threads,
            latency_threads=layout.latency_threads,
            lone_threads=layout.latency_threads,  # its former name
            concurrent_runs=layout.concurrent_runs,
            max_batch_size=layout.max_batch_size,
            session_bytes=layout.session_bytes,
        )
    return {**manifest, "status": status}


async def administer(request: Request) -> Response:
    """Load, unload, pin or unpin a model; the reply is what `show_model` would say of it."""
    exchange, shelf = Exchange.of(request.scope), current_worker().engine.repository
    parts = request.path_params
    reference = (parts["name"], parts["version"])
    try:
        match parts["action"]:
            case "load":
                # others may wait for the same load: it goes on if this caller does not
                await asyncio.shield(asyncio.wrap_future(shelf.load(reference)))
            case "unload":
                shelf.unload(reference)
            case "pin":
                shelf.pin(reference)
            case "unpin":
                shelf.pin(reference, pinned=False)
            case action:
                raise Problem(
                    "not_found", f"{action} is nothing that is done; load, unload, pin or unpin."
                )
    except Problem as problem:
        return refusal(exchange, problem)
    except (PackageError, ProviderError) as error:
        return refusal(exchange, Problem("model_unfit", str(error)))
    found = [slot for slot in shelf.versions if slot.reference == reference]
    if not found:  # its package has gone in the meantime
        gone = "/".join(reference)
        return refusal(exchange, Problem("model_not_found", f"{gone} has just been removed."))
    return json_reply(describe(found[0]), exchange.request_id)


async def show_metrics(request: Request) -> Response:
    """What Prometheus reads."""
    content, media_type = current_worker().metrics.render(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": media_type})


async def show_api(request: Request) -> Response:
    return json_reply(describe_api(), Exchange.of(request.scope).request_id)


routes_app = Starlette(
    routes=[
        Route("/metrics", show_metrics),
        Route("/docs.json", show_api),  # stands before BentoML's
        Route("/v1/models", list_models),
        Route("/v1/models/{name}/{version}/{action}", administer, methods=["POST"]),
        Route("/v1/models/{reference:path}", show_model),
        *v2_routes,
        *page_routes,  # "/" stands before BentoML's
    ]
)
