"""The Open Inference Protocol V2 over HTTP, with Triton's extensions for binary tensor data and
the model repository: what is mounted under /v2.

JSON and bytes ─ request ─► tensors ─ question ─► engine ─► rows ─ outputs ─► tensors ─► reply
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http.answering import replied, unless_gone, within
from service.http.body import read_body
from service.http.exchange import Exchange
from service.http.replies import json_reply
from service.http.v2 import repository
from service.http.v2.inflate import inflated
from service.http.v2.interface import SERVER, describe, served_versions
from service.http.v2.outputs import Found
from service.http.v2.question import to_question
from service.http.v2.replies import error_reply, infer_reply
from service.http.v2.request import LENGTH_HEADER, JsonPart, read_infer_request, read_json
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import ModelManifest
from service.problems import Problem
from service.repository.version import ModelVersion
from service.worker import current_worker

MAX_COMMAND_BYTES = 64 * 1024  # of a request to the repository
UNLOAD_PARAMETERS = frozenset({"unload_dependents"})  # our models have none

Handler = Callable[[Request], Awaitable[Response]]


def guarded(work: Callable[[Request], Any]) -> Handler:
    """``work`` as a route: its problems become replies in the protocol's shape."""

    async def handle(request: Request) -> Response:
        return await replied(Exchange.of(request.scope), work(request), error_reply)

    return handle


async def show_server(request: Request) -> Response:
    return _reply(request, SERVER)


async def show_live(request: Request) -> Response:
    return _reply(request, {"live": True})


async def show_ready(request: Request) -> Response:
    if current_worker().doorkeeper.draining:
        raise Problem("not_ready", "The service is stopping.")
    return _reply(request, {"ready": True})


async def show_model(request: Request) -> Response:
    slot, manifest = _find(request)
    version = request.path_params.get("version")
    slots = current_worker().engine.repository.versions
    versions = [version] if version else served_versions(slots, slot.reference[0])
    return _reply(request, describe(manifest, versions))


async def show_model_ready(request: Request) -> Response:
    slot, _ = _find(request)
    return _reply(request, {"name": slot.reference[0], "ready": True})


async def infer(request: Request) -> Response:
    """Run a model on the images of a request."""
    exchange, worker = Exchange.of(request.scope), current_worker()
    settings, engine = worker.settings, worker.engine
    policy = exchange.policy
    with engine.admission.hold_bytes() as room:
        chunks = _inflated(request, settings.max_body_bytes)
        body = await within(policy.deadline, read_body(chunks, settings.max_body_bytes, room))
        _, manifest = _find(request)
        exchange.model = manifest.name
        asked = read_infer_request(body, request.headers.get(LENGTH_HEADER))
        question = to_question(
            asked, manifest, settings.max_images, settings.max_request_timeout_ms
        )
        exchange.images = len(question.contents)
        policy = _with_timeout(policy, question.timeout)
        work = engine.answer(manifest.task, question.contents, question.parameters, policy)
        answer = await unless_gone(request, work)
    exchange.times = answer.times
    found = Found.of(answer, question.most)
    return infer_reply(answer, asked.id, found, question.outputs)


async def list_repository(request: Request) -> Response:
    asked = await _read_command(request, repository.IndexRequest)
    return _reply(
        request, repository.list_models(current_worker().engine.repository, ready=asked.ready)
    )


async def load(request: Request) -> Response:
    asked = await _read_command(request, repository.LoadRequest)
    repository.refuse_parameters(asked.parameters, frozenset())
    await repository.load(current_worker().engine.repository, request.path_params["name"])
    return _reply(request, {})


async def unload(request: Request) -> Response:
    asked = await _read_command(request, repository.LoadRequest)
    repository.refuse_parameters(asked.parameters, UNLOAD_PARAMETERS)
    repository.unload(current_worker().engine.repository, request.path_params["name"])
    return _reply(request, {})


def _find(request: Request) -> tuple[ModelVersion, ModelManifest]:
    """The model that the path names; raises Problem if it cannot be asked."""
    parts = request.path_params
    reference = "/".join(parts[key] for key in ("name", "version") if key in parts)
    slot: ModelVersion = current_worker().engine.repository.find(reference)
    assert slot.manifest is not None  # as `find` promises
    return slot, slot.manifest


def _with_timeout(policy: RequestPolicy, seconds: float | None) -> RequestPolicy:
    """``policy`` with the time that the body states, from when the request came."""
    if seconds is not None:
        came = policy.deadline.at - policy.deadline.granted
        policy = dataclasses.replace(policy, deadline=Deadline(came + seconds, seconds))
    policy.deadline.check("its images were read")
    return policy


async def _read_command(request: Request, kind: type[JsonPart]) -> JsonPart:
    """The JSON of a request to the repository; an empty body is an empty object."""
    chunks = _inflated(request, MAX_COMMAND_BYTES)
    with current_worker().engine.admission.hold_bytes() as room:
        return read_json(kind, await read_body(chunks, MAX_COMMAND_BYTES, room) or b"{}")


def _inflated(request: Request, limit: int) -> Any:
    return inflated(request.stream(), request.headers.get("content-encoding"), limit)


def _reply(request: Request, content: Any) -> Response:
    return json_reply(content, Exchange.of(request.scope).request_id)


_MODEL, _VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
v2_routes = [
    Route("/v2", guarded(show_server)),
    Route("/v2/health/live", guarded(show_live)),
    Route("/v2/health/ready", guarded(show_ready)),
    *(
        Route(path + end, guarded(work), methods=methods)
        for path in (_MODEL, _VERSION)
        for end, work, methods in (
            ("", show_model, ["GET"]),
            ("/ready", show_model_ready, ["GET"]),
            ("/infer", infer, ["POST"]),
        )
    ),
    Route("/v2/repository/index", guarded(list_repository), methods=["POST"]),
    Route("/v2/repository/models/{name}/load", guarded(load), methods=["POST"]),
    Route("/v2/repository/models/{name}/unload", guarded(unload), methods=["POST"]),
]
