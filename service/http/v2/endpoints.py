"""The endpoints of the Open Inference Protocol V2, with Triton's extensions for binary tensor data
and the model repository.

JSON and bytes ─ body ─► tensors ─ inference_request ─► engine ─► rows ─ outputs ─► tensors
"""

import dataclasses
from collections.abc import AsyncIterator

from starlette.responses import Response

from service.http.body import read_body
from service.http.context import RequestContext
from service.http.replies import json_reply
from service.http.v2 import repository
from service.http.v2.body import LENGTH_HEADER, JsonPart, read_infer_body, read_json
from service.http.v2.inference_request import to_inference_request
from service.http.v2.inflate import inflated
from service.http.v2.metadata import SERVER, describe, served_versions
from service.http.v2.outputs import Predictions, infer_reply
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import ModelManifest
from service.problems import Problem

MAX_COMMAND_BYTES = 64 * 1024  # of a request to the repository
UNLOAD_PARAMETERS = frozenset({"unload_dependents"})  # our models have none


async def show_server(context: RequestContext) -> Response:
    return json_reply(SERVER)


async def show_live(context: RequestContext) -> Response:
    return json_reply({"live": True})


async def show_ready(context: RequestContext) -> Response:
    if context.worker.lifecycle.draining:
        raise Problem("not_ready", "The service is stopping.")
    return json_reply({"ready": True})


async def show_model(context: RequestContext) -> Response:
    manifest = _find(context)
    version = context.parameters.get("version")
    known = context.worker.engine.repository.versions
    versions = [version] if version else served_versions(known, manifest.name)
    return json_reply(describe(manifest, versions))


async def show_model_ready(context: RequestContext) -> Response:
    return json_reply({"name": _find(context).name, "ready": True})


async def infer(context: RequestContext) -> Response:
    """Run a model on the images of a request."""
    engine, settings = context.worker.engine, context.worker.settings
    with engine.admission.hold_bytes() as room:
        limit = settings.max_body_bytes
        content = await context.in_time(read_body(_inflated(context, limit), limit, room))
        manifest = _find(context)
        context.model = manifest.name
        body = read_infer_body(content, context.headers.get(LENGTH_HEADER.lower()))
        asked = to_inference_request(
            body, manifest, settings.max_images, settings.max_request_timeout_ms
        )
        context.images = len(asked.contents)
        policy = _with_timeout(context.policy, asked.timeout)
        answer = await context.while_connected(
            engine.answer(manifest.task, asked.contents, asked.parameters, policy)
        )
    context.note_answer(answer)
    predictions = Predictions.of(answer, asked.max_rows)
    return infer_reply(answer, predictions, asked.outputs, body.id)


async def list_repository(context: RequestContext) -> Response:
    asked = await _read_command(context, repository.IndexRequest)
    models = repository.list_models(context.worker.engine.repository, ready=asked.ready)
    return json_reply(models)


async def load(context: RequestContext) -> Response:
    asked = await _read_command(context, repository.LoadRequest)
    repository.refuse_parameters(asked.parameters, frozenset())
    await repository.load(context.worker.engine.repository, context.parameters["name"])
    return json_reply({})


async def unload(context: RequestContext) -> Response:
    asked = await _read_command(context, repository.LoadRequest)
    repository.refuse_parameters(asked.parameters, UNLOAD_PARAMETERS)
    repository.unload(context.worker.engine.repository, context.parameters["name"])
    return json_reply({})


def _find(context: RequestContext) -> ModelManifest:
    """That of the model which the path names; raises Problem if it is not served."""
    version = context.worker.engine.repository.find(context.path_reference)
    assert version.manifest is not None  # as `find` promises
    return version.manifest


def _with_timeout(policy: RequestPolicy, seconds: float | None) -> RequestPolicy:
    """``policy`` with the time that the body states, from when the request came."""
    if seconds is not None:
        came = policy.deadline.at - policy.deadline.granted
        policy = dataclasses.replace(policy, deadline=Deadline(came + seconds, seconds))
    policy.deadline.check("its images were read")
    return policy


async def _read_command(context: RequestContext, kind: type[JsonPart]) -> JsonPart:
    """The JSON of a request to the repository; an empty body is an empty object."""
    chunks = _inflated(context, MAX_COMMAND_BYTES)
    with context.worker.engine.admission.hold_bytes() as room:
        return read_json(kind, await read_body(chunks, MAX_COMMAND_BYTES, room) or b"{}")


def _inflated(context: RequestContext, limit: int) -> AsyncIterator[bytes]:
    return inflated(context.stream(), context.headers.get("content-encoding"), limit)
