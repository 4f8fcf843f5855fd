"""The model repository: every version of every model, which are loaded, and what a name means.

Models come and go while requests run. A request takes its model, and what has been taken is not
closed before it is given back: so a swap loses nothing.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

from service.inference.deadline import NO_DEADLINE, Deadline
from service.inference.model import LoadedModel
from service.manifest import ModelManifest, Task
from service.problems import Problem, quoted
from service.repository.naming import Found, find_default, find_meant
from service.repository.store import Candidate, Reference
from service.repository.version import Backoff, Known, ModelVersion, State, reason_of
from service.runtime.memory import trim_memory
from service.telemetry.logs import logger

Load = Callable[[Candidate], LoadedModel]
OnFailure = Callable[[str], None]  # hears the name of each model that could not be loaded


class ModelRepository:
    """Holds `ModelVersion`s; may be used from any thread.

    load: opens and warms a package; raises PackageError or ProviderError.
    budget: bytes that the sessions of all loaded models may take, None without a limit. The least
        recently used is evicted first, as soon as no request holds it.
    defaults: names of the models that answer requests which name none, see `find_default`.
    """

    def __init__(
        self, load: Load, budget: int | None, on_failure: OnFailure, defaults: Collection[str] = ()
    ) -> None:
        self._load, self._budget, self._on_failure = load, budget, on_failure
        self._defaults = defaults
        self._versions: dict[Reference, ModelVersion] = {}
        self._withheld: Set[Reference] = frozenset()
        self._lock = threading.RLock()
        self._loader = ThreadPoolExecutor(1, "load")

    @property
    def versions(self) -> list[ModelVersion]:
        """All, by name, the newest version of each first."""
        with self._lock:
            return list(self._versions.values())

    @property
    def models(self) -> list[LoadedModel]:
        """Those that are loaded."""
        return [model for entry in self.versions if (model := entry.model) is not None]

    @property
    def loaded_bytes(self) -> int:
        """What the sessions of all loaded models take."""
        return sum(model.session_bytes for model in self.models)

    # -- requests

    def find(self, reference: str | None, task: Task | None = None) -> ModelVersion:
        """The version that ``reference``, a name (`find_meant`) or name/version, means; None means
        the default model of ``task`` (`find_default`). Raises Problem."""
        return self._find(reference, task)[0]

    def find_manifest(self, reference: str, task: Task | None = None) -> ModelManifest:
        """That of the version which `find` gives; raises Problem as it does."""
        return self._find(reference, task)[1]

    def is_default(self, entry: ModelVersion) -> bool:
        """Whether ``entry`` answers requests of its task that name no model."""
        try:
            return entry.manifest is not None and self.find(None, entry.manifest.task) is entry
        except Problem:
            return False

    def _find(self, reference: str | None, task: Task | None) -> Found:
        with self._lock:
            if not reference:
                reference = find_default(self.versions, task, self._withheld, self._defaults)
            name = reference.partition("/")[0]
            found = find_meant(self._named(reference), self._withheld)
            if found is None:
                raise Problem("model_not_found", self._not_found(reference))
            entry, manifest = found
            if entry.state is State.UNLOADED:
                raise Problem("model_unloaded", f"{name} has been unloaded by an operator.")
            if task not in (None, manifest.task):
                raise Problem("wrong_task", f"{name} does {manifest.task}, not {task}.")
            return entry, manifest

    def candidates(
        self, task: Task | None, reference: str | None, *, certain: bool
    ) -> list[LoadedModel]:
        """The loaded models that a request may be for; none if it is for one that is not loaded, or
        cannot be asked.

        task: what is asked for; None if the model decides that.
        reference: a name or name/version; None for the default model of the task.
        certain: whether it is for that one; else its body may name any model of the task.
        """
        if not certain:
            return [m for m in self.models if task in (None, m.manifest.task)]
        try:
            model = self.find(reference, task).model
        except Problem:
            return []
        return [] if model is None else [model]

    def show(self, reference: str) -> ModelVersion:
        """The version that ``reference`` means to a request, or else the newest so called that is
        unloaded or unfit; raises Problem if there is none at all."""
        try:
            return self.find(reference)
        except Problem:
            if named := self._named(reference):
                return named[0]
            raise

    @asynccontextmanager
    async def take(
        self, reference: str | None, task: Task | None, deadline: Deadline = NO_DEADLINE
    ) -> AsyncIterator[LoadedModel]:
        """The model that ``reference`` means, loaded by ``deadline``; it stays so until it is given
        back. Raises Problem."""
        with self._lock:
            entry = self.find(reference, task)
            entry.users += 1
            entry.used_at = time.monotonic()
        try:
            yield entry.model or await self._reload_for_request(entry, deadline)
        finally:
            with self._lock:
                entry.users -= 1
                entry.used_at = time.monotonic()
                self._close_if_unused(entry)
                self._evict()

    async def _reload_for_request(self, entry: ModelVersion, deadline: Deadline) -> LoadedModel:
        failed = Problem("internal_error", f"{entry.name} could not be loaded again.")
        if not entry.retry.is_due:
            raise failed
        try:
            loading = asyncio.wrap_future(self._start_loading(entry))
            async with deadline.limit("its model was loaded"):
                return await asyncio.shield(loading)
        except Problem:
            raise
        except Exception as error:
            raise failed from error

    def _named(self, reference: str) -> list[ModelVersion]:
        """Those of a name or name/version, the newest first."""
        name, _, version = reference.partition("/")
        return [
            entry
            for entry in self.versions
            if entry.reference[0] == name and version in ("", entry.reference[1])
        ]

    def _not_found(self, reference: str) -> str:
        names = ", ".join(sorted({name for name, _ in self._versions}))
        return f"There is no model {quoted(reference)}; there are {names}."

    # -- the store

    def put(self, reference: Reference, candidate: Candidate) -> bool:
        """Load a package and swap it in; if that fails, keep what was there and say why. Gives
        whether it succeeded.

        What an operator has unloaded stays so. Waits until it is done.
        """
        try:
            model = self._loader.submit(self._load, candidate).result()
        except Exception as error:  # if it is no fault of the package, it may pass
            self.refuse(reference, candidate, reason_of(error))
            return False
        with self._lock:
            known = Known(model.manifest, model)
            entry = ModelVersion(reference, candidate, State.READY, known)
            entry.used_at = time.monotonic()
            old = self._versions.get(reference)
            self._add(entry)
            if old is not None:
                entry.pinned = old.pinned
                entry.state = State.UNLOADED if old.state is State.UNLOADED else State.READY
                self._close_if_unused(old)
                self._close_if_unused(entry)
            self._evict()
        logger.info("%s is ready", entry.name)
        return True

    def put_evicted(
        self, reference: Reference, candidate: Candidate, manifest: ModelManifest
    ) -> None:
        """Add a model that is loaded only once it is asked for."""
        with self._lock:
            self._add(ModelVersion(reference, candidate, State.EVICTED, Known(manifest)))

    def refuse(self, reference: Reference, candidate: Candidate, reason: str) -> None:
        """Note that the package of ``reference`` is unfit; what was served before goes on."""
        logger.error("%s is refused: %s", "/".join(reference), reason)
        self._on_failure(reference[0])
        with self._lock:
            if reference not in self._versions:
                self._add(ModelVersion(reference, candidate, State.FAILED))
            self._versions[reference].reason = reason

    def remove(self, reference: Reference) -> None:
        """Take a model away whose package is gone; requests that hold it are answered."""
        with self._lock:
            entry = self._versions.pop(reference, None)
            if entry is not None:
                logger.info("%s is gone", entry.name)
                self._close_if_unused(entry)

    def has_room_for(self, candidate: Candidate) -> bool:
        """Whether the budget allows to load it too; a session takes more than its package."""
        return self._budget is None or self.loaded_bytes + 2 * candidate.file_bytes <= self._budget

    def _add(self, entry: ModelVersion) -> None:
        """Insert it in order: each request looks through them as they stand."""
        entries = {**self._versions, entry.reference: entry}.values()
        ordered = sorted(entries, key=lambda one: (one.reference[0], -one.number))
        self._versions = {one.reference: one for one in ordered}

    # -- operators

    def unload(self, reference: Reference) -> None:
        """Close a model until `load` is called; raises Problem if there is none."""
        with self._lock:
            entry = self._get(reference)
            entry.state, entry.pinned = State.UNLOADED, False
            self._close_if_unused(entry)

    def load(self, reference: Reference) -> "Future[LoadedModel]":
        """Load a model that has been unloaded or evicted; raises Problem if there is none."""
        with self._lock:
            entry = self._get(reference)
            if entry.state is State.UNLOADED:
                entry.state = State.READY if entry.model is not None else State.EVICTED
            entry.used_at, entry.retry = time.monotonic(), Backoff()
            return self._start_loading(entry)

    def pin(self, reference: Reference, *, pinned: bool = True) -> None:
        """Make the bare name mean this version, or free it; raises Problem if there is none."""
        with self._lock:
            entry = self._get(reference)
            if pinned:
                for other in self._named(reference[0]):
                    other.pinned = False
            entry.pinned = pinned
            self._evict()

    def withhold(self, references: Set[Reference]) -> None:
        """Let no bare name mean one of these that is not pinned, as long as it has another."""
        self._withheld = references

    def evict(self, reference: Reference) -> None:
        """Free what a version takes, as soon as no request holds it, until it is asked for."""
        with self._lock:
            entry = self._versions.get(reference)
            if entry is not None and entry.state is State.READY:
                self._evict_one(entry)

    def close(self) -> None:
        """Finish what has been accepted, and close every model."""
        self._loader.shutdown()
        for model in self.models:
            model.close()

    def _get(self, reference: Reference) -> ModelVersion:
        entry = self._versions.get(reference)
        if entry is None or entry.manifest is None:
            raise Problem("model_not_found", self._not_found("/".join(reference)))
        return entry

    # -- loading and closing

    def _start_loading(self, entry: ModelVersion) -> "Future[LoadedModel]":
        """A future that all who wait for ``entry`` share."""
        with self._lock:
            if entry.model is not None:
                loaded: Future[LoadedModel] = Future()
                loaded.set_result(entry.model)
                return loaded
            if entry.loading is None:
                entry.loading = self._loader.submit(self._reload, entry)
            return entry.loading

    def _reload(self, entry: ModelVersion) -> LoadedModel:
        try:
            model = self._load(entry.candidate)
            with self._lock:
                entry.known, entry.reason = Known(model.manifest, model), None
                entry.used_at, entry.retry = time.monotonic(), Backoff()
                if entry.state is not State.UNLOADED:
                    entry.state = State.READY
                self._evict()
                # it may have been replaced or unloaded in the meantime
                self._close_if_unused(entry)
            return model
        except Exception as error:
            with self._lock:
                entry.reason = reason_of(error)
                entry.retry.fail()
            self._on_failure(entry.reference[0])
            logger.error("%s cannot be loaded again: %s", entry.name, entry.reason)
            raise
        finally:
            with self._lock:  # not before `_start_loading` has noted the future of this very load
                entry.loading = None

    def _evict(self) -> None:
        """Evict the least recently used models until the rest fit the budget. The last one used
        stays, be it too large by itself, and so does one whose package has become unfit: it could
        not be loaded again."""
        if self._budget is None:
            return
        loaded = [entry for entry in self.versions if entry.model is not None]
        for entry in sorted(loaded, key=lambda entry: entry.used_at)[:-1]:
            if self.loaded_bytes <= self._budget:
                return
            if not (entry.pinned or entry.users or entry.reason or entry.is_on_trial):
                self._evict_one(entry)

    def _evict_one(self, entry: ModelVersion) -> None:
        entry.state = State.EVICTED
        logger.info("%s is evicted to free memory", entry.name)
        self._close_if_unused(entry)

    def _close_if_unused(self, entry: ModelVersion) -> None:
        """Close the model of a version that is not served any more, once no request holds it."""
        current = self._versions.get(entry.reference) is entry
        if entry.users or entry.model is None or (current and entry.state is State.READY):
            return
        last, entry.known = [entry.model], Known(entry.manifest)
        # its threads end after their last batch: the event loop must not wait for them
        name = f"close {entry.name}"
        threading.Thread(target=_close, args=(last,), name=name, daemon=True).start()


def _close(last: list[LoadedModel]) -> None:
    """Close the model in ``last``, where its last reference is, and give back what it took."""
    last.pop().close()
    trim_memory()
