"""What the Open Inference Protocol asks of the service, over HTTP and over gRPC: each operation
once, between what the protocol reads and what it replies.

tensors ─ inference_request ─► engine ─► rows ─ outputs ─► tensors
"""

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import Any

from service.engine.answer import Answer
from service.http.v2.body import InferBody
from service.http.v2.inference_request import InferenceRequest, to_inference_request
from service.http.v2.metadata import (
    configure,
    configure_ensemble,
    describe,
    describe_ensemble,
    is_served,
    served_versions,
    split_ensemble,
)
from service.http.v2.outputs import ONLY_VERSION
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import ModelManifest, Task
from service.problems import Problem, quoted
from service.repository.version import ModelVersion, State
from service.request import Request

REASONS = {
    State.EVICTED: "evicted to free memory; loaded again when it is asked for",
    State.UNLOADED: "unloaded",
}
UNLOAD_PARAMETERS = frozenset({"unload_dependents"})  # our models have none


def find(request: Request) -> tuple[ModelManifest, ModelManifest | None]:
    """That of the model which ``request`` names, and of an ensemble also that of its classifier;
    raises Problem if they are not served."""
    repository = request.worker.engine.repository
    names = split_ensemble(request.parameters.get("name", ""))
    if names is None:
        return repository.find_manifest(request.path_reference), None
    if request.parameters.get("version", ONLY_VERSION) != ONLY_VERSION:
        raise Problem("model_not_found", f"An ensemble has the version {ONLY_VERSION} alone.")
    detector, classifier = names
    return (
        repository.find_manifest(detector, "detection"),
        repository.find_manifest(classifier, "classification"),
    )


def describe_model(request: Request) -> dict[str, Any]:
    """The metadata of the model which ``request`` names."""
    manifest, then = find(request)
    if then is not None:
        return describe_ensemble(manifest, then)
    version = request.parameters.get("version")
    known = request.worker.engine.repository.versions
    versions = [version] if version else served_versions(known, manifest.name)
    return describe(manifest, versions, judged=_is_judged(request))


def configure_model(request: Request) -> dict[str, Any]:
    """Its configuration, in Triton's words."""
    manifest, then = find(request)
    if then is not None:
        return configure_ensemble(manifest, then)
    return configure(manifest, judged=_is_judged(request))


async def prepare(request: Request, body: InferBody) -> tuple[Task, InferenceRequest]:
    """What ``body`` asks, of a model of which task; recorded, and with its own timeout if it has
    one."""
    settings = request.worker.settings
    manifest, then = find(request)
    request.model = manifest.name
    asked = await to_inference_request(
        body,
        manifest,
        settings.max_images,
        settings.max_request_timeout_ms,
        then,
        judged=then is None and _is_judged(request),
    )
    request.images = len(asked.contents)
    return manifest.task, asked


async def run(request: Request, task: Task, asked: InferenceRequest) -> Answer:
    """The engine's answer to what was prepared."""
    policy = _with_timeout(request.policy, asked.timeout)
    key = request.key_for(request.path_reference)
    answer = await request.worker.engine.answer(task, asked.contents, asked.parameters, policy, key)
    request.note_answer(answer)
    return answer


def list_versions(request: Request, *, ready: bool) -> list[dict[str, str]]:
    """Every version of every model; if ``ready``, those that are served."""
    versions = request.worker.engine.repository.versions
    return [_state_of(one) for one in versions if is_served(one) or not ready]


async def load(request: Request, parameters: Iterable[str]) -> None:
    """Load every version of a model, the newest last, which is then the last to be evicted.

    All are tried, though one cannot be loaded. parameters: names of those that were sent.
    """
    _check_parameters(parameters, frozenset())
    engine = request.worker.engine
    references = [one.reference for one in reversed(_find_versions(request))]
    futures = [engine.repository.load(one) for one in references]
    # others may wait for the same loads: these go on if this caller leaves
    waits = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    for outcome in await asyncio.gather(*waits, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    await engine.orders.announce("load", *references)


async def unload(request: Request, parameters: Iterable[str]) -> None:
    """Unload every version of a model, so that it undoes `load`."""
    _check_parameters(parameters, UNLOAD_PARAMETERS)
    engine = request.worker.engine
    references = [one.reference for one in _find_versions(request)]
    for reference in references:
        engine.repository.unload(reference)
    await engine.orders.announce("unload", *references)


def _is_judged(request: Request) -> bool:
    """Whether the model which ``request`` names has a companion."""
    version = request.worker.engine.repository.find(request.path_reference)
    return version.candidate.companion is not None


def _state_of(version: ModelVersion) -> dict[str, str]:
    name, number = version.reference
    return {
        "name": name,
        "version": number,
        "state": "READY" if is_served(version) else "UNAVAILABLE",
        "reason": version.reason or REASONS.get(version.state, ""),
    }


def _find_versions(request: Request) -> list[ModelVersion]:
    """Those of the model which ``request`` names; raises Problem if there is none."""
    name, known = request.parameters.get("name", ""), request.worker.engine.repository.versions
    found = [one for one in known if one.reference[0] == name and one.manifest]
    if not found:
        names = ", ".join(sorted({one.reference[0] for one in known}))
        raise Problem("model_not_found", f"There is no model {quoted(name)}; there are {names}.")
    return found


def _with_timeout(policy: RequestPolicy, seconds: float | None) -> RequestPolicy:
    """``policy`` with the time that the body states, from when the request came."""
    if seconds is not None:
        came = policy.deadline.at - policy.deadline.granted
        policy = dataclasses.replace(policy, deadline=Deadline(came + seconds, seconds))
    policy.deadline.check("its images were read")
    return policy


def _check_parameters(sent: Iterable[str], known: frozenset[str]) -> None:
    """Raise Problem if a request that changes a model has other parameters than ``known``: Triton's
    clients may send whole models, and ours come from the store alone."""
    for parameter in set(sent) - known:
        raise Problem(
            "unknown_parameter",
            f"There is no parameter {quoted(parameter)} here: models come from the store alone.",
        )
