"""The endpoints of /v1: images, models and their administration; and the metrics."""

import asyncio
from typing import Any

from starlette.responses import Response

from service.http.body import read_request
from service.http.context import RequestContext
from service.http.replies import answer_reply, json_reply
from service.inference.model import PARAMETERS
from service.manifest import Task
from service.parameters import read_parameters
from service.problems import Problem, quoted
from service.repository.version import ModelVersion

ACTIONS = ("load", "unload", "pin", "unpin")


async def detect(context: RequestContext) -> Response:
    """Find objects in one or more images."""
    return await answer("detection", context)


async def classify(context: RequestContext) -> Response:
    """Say what one or more images show."""
    return await answer("classification", context)


async def answer(task: Task, context: RequestContext) -> Response:
    """Run a model on the images of a request: read, infer, reply."""
    engine = context.worker.engine
    with engine.admission.hold_bytes() as room:
        sent = await context.in_time(read_request(context, room))
        context.images, context.model = len(sent.images), sent.model
        parameters = read_parameters(PARAMETERS[task], sent.texts, sent.typed)
        found = await context.while_connected(
            engine.answer(task, sent.images, parameters, context.policy)
        )
    context.note_answer(found)
    return answer_reply(found, context.request_id)


async def list_models(context: RequestContext) -> Response:
    """Every model's manifest, labels included, and how it is served."""
    versions = context.worker.engine.repository.versions
    return json_reply({"models": [describe(version) for version in versions]})


async def show_model(context: RequestContext) -> Response:
    """The model that the path names, with or without a version, even if it is not served."""
    return json_reply(describe(context.worker.engine.repository.show(context.path_reference)))


async def administer(context: RequestContext) -> Response:
    """Load, unload, pin or unpin a version; the reply is what `show_model` then says of it."""
    repository = context.worker.engine.repository
    reference = (context.parameters["name"], context.parameters["version"])
    match context.parameters["action"]:
        case "load":
            # others may wait for the same load: it goes on if this caller leaves
            await asyncio.shield(asyncio.wrap_future(repository.load(reference)))
        case "unload":
            repository.unload(reference)
        case "pin":
            repository.pin(reference)
        case "unpin":
            repository.pin(reference, pinned=False)
        case action:
            raise Problem(
                "not_found", f"There is no action {quoted(action)}; there are {', '.join(ACTIONS)}."
            )
    return await show_model(context)


async def show_metrics(context: RequestContext) -> Response:
    """What Prometheus reads."""
    content, media_type = context.worker.metrics.render(context.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": media_type})


def describe(version: ModelVersion) -> dict[str, Any]:
    """A version's manifest, and under "status" how it is served.

    The status says, of a version that is loaded, its layout; and of one whose newest package is
    unfit, the reason.
    """
    name, number = version.reference
    manifest, model = version.known
    described = manifest.to_json() if manifest else {"name": name, "version": number}
    status: dict[str, Any] = {"state": version.state.value, "pinned": version.pinned}
    if version.reason is not None:
        status["reason"] = version.reason
    if model is not None:
        layout = model.layout
        status.update(
            provider=model.provider,
            precision=model.manifest.precision,
            threads=layout.threads,
            latency_threads=layout.latency_threads,
            lone_threads=layout.latency_threads,  # its former name
            concurrent_runs=layout.concurrent_runs,
            max_batch_size=layout.max_batch_size,
            session_bytes=model.session_bytes,
        )
    return {**described, "status": status}
