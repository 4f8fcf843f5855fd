"""Keeping the repository as the store is: at the start, and while packages come, change or go."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from service.package import PackageError
from service.repository.repository import ModelRepository
from service.repository.store import (
    Candidate,
    Reference,
    check_each_model,
    scan_store,
    verify_packages,
)
from service.repository.version import Backoff
from service.telemetry.logs import logger

GONE_LOOKS = 3  # in a row without a package, after which it is gone


class Watcher:
    """Looks at ``store``, the setting model_store, every ``seconds``, on a thread of its own.

    It looks, and does not listen for the file system's events: a store is often a network volume,
    or a folder that Kubernetes swaps by a link, and neither tells of its changes reliably.
    A package is opened once it has looked the same twice, so not while it is being copied. One that
    could not be loaded is tried again, ever more seldom: a full memory or a network volume's fault
    passes. One that is missed is removed after `GONE_LOOKS` looks; while the store has no package
    at all, such as a volume that is not mounted, everything goes on.

    It looks when the clock has a multiple of ``seconds``: so all workers see the same.
    """

    def __init__(
        self,
        store: Path,
        repository: ModelRepository,
        seconds: float,
        on_removal: Callable[[Reference], None] = lambda reference: None,
    ) -> None:
        """``on_removal`` hears of each version whose package is gone."""
        self._store, self._repository, self._seconds = store, repository, seconds
        self._on_removal = on_removal
        self._known: dict[Reference, Candidate] = {}
        self._seen: dict[Reference, Candidate] = {}
        self._failed: dict[Reference, Backoff] = {}
        self._missed = Counter[Reference]()  # looks in a row
        self._complaint: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def fill(self, public_keys: Sequence[Path]) -> None:
        """Load what the store has, as far as the memory allows: what is left is loaded on demand.

        An unfit package is passed over if its model has another version: after a restart at night
        an old model is better than none. Raises PackageError if a model has no fit version.
        """
        found = scan_store(self._store)
        self._seen = found
        fit, unfit = verify_packages(found, public_keys)
        for reference, candidate in found.items():
            if reference in unfit:
                self._repository.refuse(reference, candidate, unfit[reference])
                self._note(reference, candidate, loaded=False)
            elif self._repository.has_room_for(candidate):
                self._put(reference, candidate)
            else:
                self._repository.put_evicted(reference, candidate, fit[reference])
                self._note(reference, candidate, loaded=True)
        versions = self._repository.versions
        check_each_model(
            {entry.reference[0] for entry in versions if entry.manifest is not None},
            {entry.reference: entry.reason for entry in versions if entry.reason is not None},
        )

    def start(self) -> None:
        """Look again and again, unless ``seconds`` is 0."""
        if self._seconds:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Bring the repository up to date with what has settled since the last look."""
        found = self._scan()
        if found is None:
            return
        for reference, candidate in found.items():
            settled = self._seen.get(reference) == candidate
            if settled and self._is_due(reference, candidate):
                self._put(reference, candidate)
        gone = self._known.keys() - found.keys()
        self._missed = Counter({reference: self._missed[reference] + 1 for reference in gone})
        for reference in gone:
            if self._missed[reference] >= GONE_LOOKS:
                del self._known[reference], self._missed[reference]
                self._failed.pop(reference, None)
                self._repository.remove(reference)
                self._on_removal(reference)
        self._seen = found

    def _is_due(self, reference: Reference, candidate: Candidate) -> bool:
        if self._known.get(reference) != candidate:
            self._failed.pop(reference, None)  # it was another package that failed
            return True
        return reference in self._failed and self._failed[reference].is_due

    def _put(self, reference: Reference, candidate: Candidate) -> None:
        self._note(reference, candidate, loaded=self._repository.put(reference, candidate))

    def _note(self, reference: Reference, candidate: Candidate, *, loaded: bool) -> None:
        """Note what came of a package: only now is it known."""
        self._known[reference] = candidate
        if loaded:
            self._failed.pop(reference, None)
        else:
            self._failed.setdefault(reference, Backoff()).fail()

    def _scan(self) -> dict[Reference, Candidate] | None:
        """What is there; None, and what is served goes on, if the store cannot be read."""
        try:
            found = scan_store(self._store)
        except (PackageError, OSError) as error:
            if str(error) != self._complaint:
                logger.error("the model store cannot be read, its models go on: %s", error)
            self._complaint = str(error)
            return None
        self._complaint = None
        return found

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds - time.time() % self._seconds):
            try:
                self.look()
            except Exception:  # whatever it is, the next look may do better
                logger.exception("a look at the model store failed")
