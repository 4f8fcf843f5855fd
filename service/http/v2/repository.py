"""The model repository extension: what is in the store, and loading and unloading it.

A name means all versions of a model, to load as to unload, so that the one undoes the other.
"""

import asyncio
from typing import Any

from pydantic import Field

from service.http.v2.interface import is_served
from service.http.v2.request import Part, Values
from service.package import PackageError
from service.problems import Problem
from service.providers import ProviderError
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


def list_models(shelf: ModelRepository, *, ready: bool) -> list[dict[str, Any]]:
    """Every version of every model; with ``ready`` those that can be asked."""
    return [describe(slot) for slot in shelf.versions if is_served(slot) or not ready]


def describe(slot: ModelVersion) -> dict[str, Any]:
    name, version = slot.reference
    return {
        "name": name,
        "version": version,
        "state": "READY" if is_served(slot) else "UNAVAILABLE",
        "reason": slot.reason or WHY.get(slot.state, ""),
    }


async def load(shelf: ModelRepository, name: str) -> None:
    """Load every version of ``name``, the newest last, which is then the last to be evicted.

    Raises Problem if there is none, or once all have been tried if one cannot be loaded.
    """
    futures = [shelf.load(slot.reference) for slot in reversed(_versions(shelf, name))]
    # others may wait for the same loads: these go on if this caller does not
    waits = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, PackageError | ProviderError):
            raise Problem("model_unfit", str(outcome))
        if isinstance(outcome, BaseException):
            raise outcome


def unload(shelf: ModelRepository, name: str) -> None:
    """Unload every version of ``name``; raises Problem if there is none."""
    for slot in _versions(shelf, name):
        shelf.unload(slot.reference)


def refuse_parameters(sent: Values, known: frozenset[str]) -> None:
    """Raise Problem if ``sent`` has others than ``known``: Triton's clients may send whole models,
    and ours come from the store alone."""
    for parameter in sent.keys() - known:
        raise Problem(
            "unknown_parameter",
            f"There is no parameter {parameter[:40]!r} here: models come from the store alone.",
        )


def _versions(shelf: ModelRepository, name: str) -> list[ModelVersion]:
    found = [slot for slot in shelf.versions if slot.reference[0] == name and slot.manifest]
    if not found:
        names = ", ".join(sorted({slot.reference[0] for slot in shelf.versions}))
        raise Problem("model_not_found", f"There is no model {name!r}; there are {names}.")
    return found
