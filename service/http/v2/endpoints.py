"""The endpoints of the Open Inference Protocol V2, with Triton's extensions for binary tensor data
and the model repository.

JSON and bytes ─ body ─► tensors ─ inference_request ─► engine ─► rows ─ outputs ─► tensors
"""

import asyncio
import dataclasses

from starlette.responses import Response

from service.http.body import read_whole_body
from service.http.context import RequestContext
from service.http.replies import json_reply, with_sample
from service.http.v2.body import (
    LENGTH_HEADER,
    ChangePart,
    IndexPart,
    JsonPart,
    read_infer_body,
    read_json,
)
from service.http.v2.inference_request import InferenceRequest, to_inference_request
from service.http.v2.metadata import (
    SERVER,
    configure,
    configure_ensemble,
    describe,
    describe_ensemble,
    is_served,
    served_versions,
    split_ensemble,
)
from service.http.v2.outputs import ONLY_VERSION, Predictions, infer_reply
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import ModelManifest, Task
from service.problems import Problem, quoted
from service.repository.version import ModelVersion, State

REASONS = {
    State.EVICTED: "evicted to free memory; loaded again when it is asked for",
    State.UNLOADED: "unloaded",
}
MAX_COMMAND_BYTES = 64 * 1024  # of a request to the repository
UNLOAD_PARAMETERS = frozenset({"unload_dependents"})  # our models have none


async def show_server(context: RequestContext) -> Response:
    return json_reply(SERVER)


async def show_live(context: RequestContext) -> Response:
    if (fault := context.worker.watchdog.fault) is not None:
        raise Problem("not_ready", f"The service is about to stop: {fault}.")
    return json_reply({"live": True})


async def show_ready(context: RequestContext) -> Response:
    if not context.worker.lifecycle.is_ready:
        raise Problem("not_ready", "The service is starting or stopping.")
    return json_reply({"ready": True})


async def show_model(context: RequestContext) -> Response:
    manifest, then = _find(context)
    if then is not None:
        return json_reply(describe_ensemble(manifest, then))
    version = context.parameters.get("version")
    known = context.worker.engine.repository.versions
    versions = [version] if version else served_versions(known, manifest.name)
    return json_reply(describe(manifest, versions))


async def show_model_config(context: RequestContext) -> Response:
    manifest, then = _find(context)
    return json_reply(configure(manifest) if then is None else configure_ensemble(manifest, then))


async def show_model_ready(context: RequestContext) -> Response:
    _find(context)
    return json_reply({"name": context.parameters["name"], "ready": True})


async def infer(context: RequestContext) -> Response:
    """Run a model on the images of a request."""
    engine, settings = context.worker.engine, context.worker.settings
    with engine.admission.hold_bytes() as room:
        body = await read_whole_body(context, settings.max_body_bytes, room)
        task, asked = await _read_infer(context, body)
        del body  # nothing else keeps it in memory while the model runs
        policy = _with_timeout(context.policy, asked.timeout)
        answer = await context.while_connected(
            engine.answer(
                task,
                asked.contents,
                asked.parameters,
                policy,
                context.key_for(context.path_reference),
            )
        )
    context.note_answer(answer)
    predictions = Predictions.of(answer, asked.max_rows)
    reply = infer_reply(answer, predictions, asked.outputs, asked.id)
    return with_sample(reply, answer, engine)


async def list_repository(context: RequestContext) -> Response:
    """Every version of every model; if asked, those that are served."""
    asked = await _read_command(context, IndexPart)
    versions = context.worker.engine.repository.versions
    return json_reply([_state_of(one) for one in versions if is_served(one) or not asked.ready])


async def load(context: RequestContext) -> Response:
    """Load every version of a model, the newest last, which is then the last to be evicted.

    All are tried, though one cannot be loaded.
    """
    await _read_change(context, frozenset())
    engine = context.worker.engine
    references = [one.reference for one in reversed(_find_versions(context))]
    futures = [engine.repository.load(one) for one in references]
    # others may wait for the same loads: these go on if this caller leaves
    waits = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    for outcome in await asyncio.gather(*waits, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    await engine.orders.announce("load", *references)
    return json_reply({})


async def unload(context: RequestContext) -> Response:
    """Unload every version of a model, so that it undoes `load`."""
    await _read_change(context, UNLOAD_PARAMETERS)
    engine = context.worker.engine
    references = [one.reference for one in _find_versions(context)]
    for reference in references:
        engine.repository.unload(reference)
    await engine.orders.announce("unload", *references)
    return json_reply({})


async def _read_infer(context: RequestContext, content: bytes) -> tuple[Task, InferenceRequest]:
    """What is asked, of a model of which task."""
    settings = context.worker.settings
    manifest, then = _find(context)
    context.model = manifest.name
    body = read_infer_body(content, context.headers.get(LENGTH_HEADER.lower()))
    asked = await to_inference_request(
        body, manifest, settings.max_images, settings.max_request_timeout_ms, then
    )
    context.images = len(asked.contents)
    return manifest.task, asked


def _state_of(version: ModelVersion) -> dict[str, str]:
    name, number = version.reference
    return {
        "name": name,
        "version": number,
        "state": "READY" if is_served(version) else "UNAVAILABLE",
        "reason": version.reason or REASONS.get(version.state, ""),
    }


def _find_versions(context: RequestContext) -> list[ModelVersion]:
    """Those of the model which the path names; raises Problem if there is none."""
    name, known = context.parameters["name"], context.worker.engine.repository.versions
    found = [one for one in known if one.reference[0] == name and one.manifest]
    if not found:
        names = ", ".join(sorted({one.reference[0] for one in known}))
        raise Problem("model_not_found", f"There is no model {quoted(name)}; there are {names}.")
    return found


def _find(context: RequestContext) -> tuple[ModelManifest, ModelManifest | None]:
    """That of the model which the path names, and of an ensemble also that of its classifier;
    raises Problem if they are not served."""
    repository = context.worker.engine.repository
    names = split_ensemble(context.parameters["name"])
    if names is None:
        return repository.find_manifest(context.path_reference), None
    if context.parameters.get("version", ONLY_VERSION) != ONLY_VERSION:
        raise Problem("model_not_found", f"An ensemble has the version {ONLY_VERSION} alone.")
    detector, classifier = names
    return (
        repository.find_manifest(detector, "detection"),
        repository.find_manifest(classifier, "classification"),
    )


def _with_timeout(policy: RequestPolicy, seconds: float | None) -> RequestPolicy:
    """``policy`` with the time that the body states, from when the request came."""
    if seconds is not None:
        came = policy.deadline.at - policy.deadline.granted
        policy = dataclasses.replace(policy, deadline=Deadline(came + seconds, seconds))
    policy.deadline.check("its images were read")
    return policy


async def _read_change(context: RequestContext, known: frozenset[str]) -> None:
    """Read a request that changes a model; raises Problem if it has other parameters than
    ``known``: Triton's clients may send whole models, and ours come from the store alone."""
    asked = await _read_command(context, ChangePart)
    for parameter in asked.parameters.keys() - known:
        raise Problem(
            "unknown_parameter",
            f"There is no parameter {quoted(parameter)} here: models come from the store alone.",
        )


async def _read_command(context: RequestContext, kind: type[JsonPart]) -> JsonPart:
    """The JSON of a request to the repository; an empty body is an empty object."""
    with context.worker.engine.admission.hold_bytes() as room:
        return read_json(kind, await read_whole_body(context, MAX_COMMAND_BYTES, room) or b"{}")
