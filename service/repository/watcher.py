"""Keeping the shelf as the store is: packages that come, change or go while the service runs."""

import threading

from service.package import PackageError
from service.repository.repository import ModelRepository
from service.repository.store import Candidate, Reference, Source
from service.telemetry.logs import logger


class Watcher:
    """Looks at ``source`` every ``seconds``, on a thread of its own.

    It looks, and does not listen for the file system's events: a store is often a network volume,
    or a folder that Kubernetes swaps by a link, and neither tells of its changes reliably.
    A package is opened once it has looked the same twice, so not while it is being copied.
    """

    def __init__(self, source: Source, shelf: ModelRepository, seconds: float) -> None:
        self._source, self._shelf, self._seconds = source, shelf, seconds
        self._known: dict[Reference, Candidate] = {}
        self._seen: dict[Reference, Candidate] = {}
        self._complaint: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self, known: dict[Reference, Candidate]) -> None:
        """Begin; ``known`` is what the shelf has, or has refused, already."""
        self._known = self._seen = dict(known)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Bring the shelf up to date with what has settled since the last look."""
        found = self._scan()
        if found is None:
            return
        for reference, candidate in found.items():
            settled = self._seen.get(reference) == candidate
            if settled and self._known.get(reference) != candidate:
                self._known[reference] = candidate
                self._shelf.put(reference, candidate)
        for reference in self._known.keys() - found.keys():
            del self._known[reference]
            self._shelf.remove(reference)
        self._seen = found

    def _scan(self) -> dict[Reference, Candidate] | None:
        """What is there; None, and what is served goes on, if the store cannot be read."""
        try:
            found = dict(self._source.scan())
        except (PackageError, OSError) as error:
            if str(error) != self._complaint:
                logger.error("the model store cannot be read, its models go on: %s", error)
            self._complaint = str(error)
            return None
        self._complaint = None
        return found

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.look()
            except Exception:  # whatever it is, the next look may do better
                logger.exception("a look at the model store failed")
