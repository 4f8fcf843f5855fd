"""The model repository extension: what is in the store, and loading and unloading it.

A name means all versions of a model, to load as to unload, so that the one undoes the other.
"""

import asyncio
from typing import Any

from pydantic import Field

from service.http.v2.body import Part, Values
from service.http.v2.metadata import is_served
from service.problems import Problem
from service.repository.repository import ModelRepository
from service.repository.version import ModelVersion, State

WHY = {
    State.EVICTED: "evicted to free memory; loaded again when it is asked for",
    State.UNLOADED: "unloaded",
}


class IndexRequest(Part):
    ready: bool = False


class LoadRequest(Part):
    parameters: Values = Field(default_factory=dict)


def list_models(repository: ModelRepository, *, ready: bool) -> list[dict[str, Any]]:
    """Every version of every model; with ``ready`` those that are served."""
    return [describe(one) for one in repository.versions if is_served(one) or not ready]


def describe(version: ModelVersion) -> dict[str, Any]:
    name, number = version.reference
    return {
        "name": name,
        "version": number,
        "state": "READY" if is_served(version) else "UNAVAILABLE",
        "reason": version.reason or WHY.get(version.state, ""),
    }


async def load(repository: ModelRepository, name: str) -> None:
    """Load every version of ``name``, the newest last, which is then the last to be evicted.

    Raises Problem if there is none, and PackageError or ProviderError once all have been tried if
    one cannot be loaded.
    """
    futures = [repository.load(one.reference) for one in reversed(_versions(repository, name))]
    # others may wait for the same loads: these go on if this caller leaves
    waits = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    for outcome in await asyncio.gather(*waits, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def unload(repository: ModelRepository, name: str) -> None:
    """Unload every version of ``name``; raises Problem if there is none."""
    for version in _versions(repository, name):
        repository.unload(version.reference)


def refuse_parameters(sent: Values, known: frozenset[str]) -> None:
    """Raise Problem if ``sent`` has others than ``known``: Triton's clients may send whole models,
    and ours come from the store alone."""
    for parameter in sent.keys() - known:
        raise Problem(
            "unknown_parameter",
            f"There is no parameter {parameter[:40]!r} here: models come from the store alone.",
        )


def _versions(repository: ModelRepository, name: str) -> list[ModelVersion]:
    found = [one for one in repository.versions if one.reference[0] == name and one.manifest]
    if not found:
        names = ", ".join(sorted({one.reference[0] for one in repository.versions}))
        raise Problem("model_not_found", f"There is no model {name!r}; there are {names}.")
    return found
