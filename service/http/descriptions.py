"""A model as the service describes it: its manifest, and how it is served."""

from typing import Any

from service.engine.engine import Engine
from service.repository.version import ModelVersion
from service.rollout.report import dump, summarise


def describe(version: ModelVersion, engine: Engine | None = None) -> dict[str, Any]:
    """A version's manifest, and under "status" how it is served.

    The status says, of a version that is loaded, its layout; of one whose newest package is unfit,
    the reason; and of one that is or was on trial, how that went.
    """
    name, number = version.reference
    manifest, model = version.known
    described: dict[str, Any] = {"name": name, "version": number}
    if manifest is not None:
        described = {**manifest.to_json(), "compared_with": manifest.parity.compared_with}
    status: dict[str, Any] = {"state": version.state.value, "pinned": version.pinned}
    status["is_default"] = engine is not None and engine.repository.is_default(version)
    if version.reason is not None:
        status["reason"] = version.reason
    if model is not None:
        layout = model.layout
        status.update(
            provider=model.provider,
            precision=model.precision,
            threads=layout.threads,
            latency_threads=layout.latency_threads,
            lone_threads=layout.latency_threads,  # its former name
            concurrent_runs=layout.concurrent_runs,
            max_batch_size=layout.max_batch_size,
            session_bytes=model.session_bytes,
        )
        if (companion := model.described_companion) is not None:
            status["companion"] = companion
    if engine is not None and (rollout := engine.rollouts.of(version.reference)) is not None:
        status["rollout"] = dump(summarise(rollout))
    return {**described, "status": status}
