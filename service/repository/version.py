"""A version of a model, and the states that it can be in."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

from service.inference.model import LoadedModel
from service.manifest import ModelManifest
from service.repository.store import Candidate, Reference


class State(Enum):
    """Of a model version.

    failed ◄── load ── in the store ──► ready ◄──► evicted (to free memory; reloaded on demand)
                                          │
                                          └──────► unloaded (by an operator, until loaded again)
    """

    READY = "ready"
    EVICTED = "evicted"
    UNLOADED = "unloaded"
    FAILED = "failed"


@dataclass
class ModelVersion:
    """One version of one model. Guarded by the repository's lock.

    manifest: None if the package could not even be read.
    reason: why the newest package of this name and version is not what is served, if so.
    users: requests that hold ``model`` now.
    pinned: whether the bare name means this version, and it is never evicted.
    """

    reference: Reference
    candidate: Candidate
    state: State
    manifest: ModelManifest | None = None
    model: LoadedModel | None = None
    reason: str | None = None
    pinned: bool = False
    users: int = 0
    used_at: float = 0.0
    loading: "Future[LoadedModel] | None" = field(default=None, repr=False)

    @property
    def number(self) -> int:
        """What versions are ordered by; 0 of a folder that is no version, and so never fit."""
        version = self.reference[1]
        return int(version) if version.isascii() and version.isdigit() else 0

    @property
    def name(self) -> str:
        return "/".join(self.reference)
