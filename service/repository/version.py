"""A version of a model, and the states that it can be in."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from service.inference.model import LoadedModel
from service.manifest import ModelManifest
from service.package import PackageError
from service.providers import ProviderError
from service.repository.store import Candidate, Reference
from service.terminal import one_line


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


RETRY_SECONDS, MAX_RETRY_SECONDS = 2.0, 600.0


@dataclass
class Backoff:
    """When to try again what has failed: at once the first time, for a fault may pass, and then
    after pauses that double."""

    failures: int = 0
    until: float = 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.until

    def fail(self) -> None:
        pause = min(RETRY_SECONDS * (2 ** min(self.failures, 30) - 1), MAX_RETRY_SECONDS)
        self.failures, self.until = self.failures + 1, time.monotonic() + pause


class Known(NamedTuple):
    """What is known of a version, swapped as a whole: a model answers by the very manifest that
    describes it.

    manifest: None if the package could not even be read.
    model: None while it is not loaded.
    """

    manifest: ModelManifest | None = None
    model: LoadedModel | None = None


NOTHING = Known()


@dataclass
class ModelVersion:
    """One version of one model. Guarded by the repository's lock.

    reason: why the newest package of this name and version is not what is served, if so.
    users: requests that hold the model now.
    pinned: whether the bare name means this version, and it is never evicted.
    retry: when a request may have it loaded again, after that has failed.
    """

    reference: Reference
    candidate: Candidate
    state: State
    known: Known = NOTHING
    reason: str | None = None
    pinned: bool = False
    users: int = 0
    used_at: float = 0.0
    loading: "Future[LoadedModel] | None" = field(default=None, repr=False)
    retry: Backoff = field(default_factory=Backoff)

    @property
    def manifest(self) -> ModelManifest | None:
        return self.known.manifest

    @property
    def model(self) -> LoadedModel | None:
        return self.known.model

    @property
    def is_on_trial(self) -> bool:
        """Whether its model is tried on live traffic, in a process of its own."""
        return self.model is not None and self.model.trial is not None

    @property
    def number(self) -> int:
        """What versions are ordered by; 0 of a folder that is no version, and so never fit."""
        version = self.reference[1]
        return int(version) if version.isascii() and version.isdigit() else 0

    @property
    def name(self) -> str:
        return "/".join(self.reference)


def reason_of(error: Exception) -> str:
    """What is told of a load that failed."""
    if isinstance(error, PackageError | ProviderError):
        return str(error)
    return f"{type(error).__name__}: {one_line(error)}"
