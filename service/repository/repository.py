"""The shelf: every model of the store, which of them are loaded, and what a name means.

Models come and go while requests run. A request takes its model, and what has been taken is not
closed before it is given back: so a swap loses nothing.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.inference.model import ServedModel
from service.manifest import ModelManifest, Task
from service.package import PackageError
from service.problems import Problem
from service.providers import ProviderError
from service.repository.state import State
from service.repository.store import Candidate, Reference
from service.runtime.memory import trim_memory
from service.telemetry.logs import logger


@dataclass
class ModelVersion:
    """One version of one model. Guarded by the shelf's lock.

    manifest: None if the package could not even be read.
    reason: why the newest package of this name and version is not what is served, if so.
    users: requests that hold ``model`` now.
    pinned: whether the bare name means this version, and it is never set aside.
    """

    reference: Reference
    candidate: Candidate
    state: State
    manifest: ModelManifest | None = None
    model: ServedModel | None = None
    reason: str | None = None
    pinned: bool = False
    users: int = 0
    used_at: float = 0.0
    retired: bool = False
    loading: "Future[ServedModel] | None" = field(default=None, repr=False)

    @property
    def number(self) -> int:
        """What versions are ordered by; 0 of a folder that is no version, and so never fit."""
        version = self.reference[1]
        return int(version) if version.isascii() and version.isdigit() else 0

    @property
    def name(self) -> str:
        return "/".join(self.reference)


Load = Callable[[Candidate], ServedModel]


class ModelRepository:
    """Holds `ModelVersion`s; may be used from any thread.

    load: opens and warms a package; raises PackageError or ProviderError.
    budget: bytes that the sessions of all loaded models may take, None without a limit. What was
        used longest ago is set aside first.
    on_failure: hears the name of each model that could not be loaded.
    """

    def __init__(self, load: Load, budget: int | None, on_failure: Callable[[str], None]) -> None:
        self._load, self._budget, self._on_failure = load, budget, on_failure
        self._versions: dict[Reference, ModelVersion] = {}
        self._lock = threading.RLock()
        self._loader = ThreadPoolExecutor(1, "load")

    @property
    def versions(self) -> list[ModelVersion]:
        """All, by name, the newest version of each first."""
        with self._lock:
            return list(self._versions.values())

    @property
    def models(self) -> list[ServedModel]:
        """Those that are loaded."""
        return [model for slot in self.versions if (model := slot.model) is not None]

    # -- what a request does

    def find(self, reference: str | None, task: Task | None = None) -> ModelVersion:
        """The slot that ``reference``, a name or name/version, means; raises Problem.

        A name means its pinned version, or else its highest that can be served; None means the
        first model, by name, of ``task``.
        """
        with self._lock:
            name, _, version = (reference or self._default_name(task)).partition("/")
            found = [
                slot
                for slot in self._versions.values()
                if slot.reference[0] == name
                and version in ("", slot.reference[1])
                and slot.manifest is not None
                and slot.state is not State.FAILED
            ]
            served = [slot for slot in found if slot.state is not State.UNLOADED]
            if not found:
                raise Problem("model_not_found", self._nothing(reference))
            if not served:
                raise Problem("model_unloaded", f"{name} has been unloaded by an operator.")
            slot = next((slot for slot in served if slot.pinned), served[0])
            manifest = slot.manifest
            if task is not None and manifest is not None and manifest.task != task:
                raise Problem("wrong_task", f"{name} does {manifest.task}, not {task}.")
            return slot

    def candidates(
        self, task: Task | None, reference: str | None, *, certain: bool
    ) -> list[ServedModel]:
        """The loaded models that a request may be for; none if it is for one that is not loaded, or
        cannot be asked.

        task: what is asked for; None if the model decides that.
        reference: a name or name/version; None for the first model of the task.
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
        """The slot that ``reference`` means to a request, or else the newest so called that is
        unloaded or unfit; raises Problem if there is none at all."""
        try:
            return self.find(reference)
        except Problem:
            name, _, version = reference.partition("/")
            for slot in self.versions:
                if slot.reference[0] == name and version in ("", slot.reference[1]):
                    return slot
            raise

    @asynccontextmanager
    async def take(self, reference: str | None, task: Task | None) -> AsyncIterator[ServedModel]:
        """The model that ``reference`` means, loaded; it stays so until it is given back."""
        with self._lock:
            slot = self.find(reference, task)
            slot.users += 1
            slot.used_at = time.monotonic()
        try:
            yield slot.model or await self._load_again(slot)
        finally:
            with self._lock:
                slot.users -= 1
                self._close_if_done(slot)

    async def _load_again(self, slot: ModelVersion) -> ServedModel:
        try:
            return await asyncio.shield(asyncio.wrap_future(self._start_loading(slot)))
        except (PackageError, ProviderError) as error:
            raise Problem("internal_error", f"{slot.name} could not be loaded again.") from error

    def _add(self, slot: ModelVersion) -> None:
        """In its place, once: each request looks through them in order."""
        slots = {**self._versions, slot.reference: slot}.values()
        ordered = sorted(slots, key=lambda one: (one.reference[0], -one.number))
        self._versions = {one.reference: one for one in ordered}

    def _default_name(self, task: Task | None) -> str:
        for slot in self._versions.values():
            if slot.manifest is not None and task in (None, slot.manifest.task):
                return slot.reference[0]
        raise Problem("model_not_found", f"The service holds no model for {task}.")

    def _nothing(self, reference: str | None) -> str:
        names = ", ".join(sorted({name for name, _ in self._versions}))
        return f"There is no model {reference!r}; there are {names}."

    # -- what the store does

    def put(self, reference: Reference, candidate: Candidate) -> None:
        """Load a package and swap it in; if it is unfit, keep what was there and say why.

        What an operator has unloaded stays so. Waits until it is done.
        """
        try:
            model = self._loader.submit(self._load, candidate).result()
        except (PackageError, ProviderError) as error:
            self.refuse(reference, candidate, str(error))
            return
        with self._lock:
            old = self._versions.get(reference)
            slot = ModelVersion(reference, candidate, State.READY, model.manifest, model)
            slot.used_at = time.monotonic()
            slot.pinned = old is not None and old.pinned
            self._add(slot)
            if old is not None:
                self._retire(old)
            if old is not None and old.state is State.UNLOADED:
                slot.state = State.UNLOADED
                self._close_if_done(slot)
            self._make_room(keep=slot)
        logger.info("%s is ready", slot.name)

    def refuse(self, reference: Reference, candidate: Candidate, reason: str) -> None:
        """Note that the package of ``reference`` is unfit; what was served before goes on."""
        logger.error("%s is refused: %s", "/".join(reference), reason)
        self._on_failure(reference[0])
        with self._lock:
            slot = self._versions.get(reference)
            if slot is None:
                slot = ModelVersion(reference, candidate, State.FAILED)
                self._add(slot)
            slot.reason = reason

    def put_aside(
        self, reference: Reference, candidate: Candidate, manifest: ModelManifest
    ) -> None:
        """Add a model that is loaded only once it is asked for."""
        with self._lock:
            self._add(ModelVersion(reference, candidate, State.SET_ASIDE, manifest))

    def remove(self, reference: Reference) -> None:
        """Take a model away whose package is gone; requests that hold it are answered."""
        with self._lock:
            slot = self._versions.pop(reference, None)
            if slot is not None:
                logger.info("%s is gone", slot.name)
                self._retire(slot)

    # -- what an operator does

    def unload(self, reference: Reference) -> None:
        """Close a model until `load` is called; raises Problem if there is none."""
        with self._lock:
            slot = self._slot(reference)
            slot.state, slot.pinned = State.UNLOADED, False
            self._close_if_done(slot)

    def load(self, reference: Reference) -> "Future[ServedModel]":
        """Load a model that has been unloaded or set aside; raises Problem if there is none."""
        with self._lock:
            slot = self._slot(reference)
            if slot.state is State.UNLOADED:
                slot.state = State.READY if slot.model is not None else State.SET_ASIDE
            return self._start_loading(slot)

    def pin(self, reference: Reference, *, pinned: bool = True) -> None:
        """Make the bare name mean this version, or free it; raises Problem if there is none."""
        with self._lock:
            slot = self._slot(reference)
            if pinned:
                for other in self._versions.values():
                    other.pinned = other.pinned and other.reference[0] != reference[0]
            slot.pinned = pinned

    def close(self) -> None:
        """Finish what has been accepted, and close every model."""
        self._loader.shutdown()
        for model in self.models:
            model.close()

    # -- under the lock

    def _slot(self, reference: Reference) -> ModelVersion:
        slot = self._versions.get(reference)
        if slot is None or slot.manifest is None:
            raise Problem("model_not_found", self._nothing("/".join(reference)))
        return slot

    def _start_loading(self, slot: ModelVersion) -> "Future[ServedModel]":
        """A future that all who wait for ``slot`` share."""
        with self._lock:
            if slot.model is not None:
                there: Future[ServedModel] = Future()
                there.set_result(slot.model)
                return there
            if slot.loading is None:
                slot.loading = self._loader.submit(self._reload, slot)
            return slot.loading

    def _reload(self, slot: ModelVersion) -> ServedModel:
        try:
            model = self._load(slot.candidate)
            with self._lock:
                slot.model, slot.reason = model, None
                if slot.state is not State.UNLOADED:
                    slot.state = State.READY
                self._make_room(keep=slot)
                # a newer package or an operator's word may have come in the meantime
                self._close_if_done(slot)
            return model
        except (PackageError, ProviderError) as error:
            slot.reason = str(error)
            self._on_failure(slot.reference[0])
            logger.error("%s cannot be loaded again: %s", slot.name, error)
            raise
        finally:
            with self._lock:  # not before `_start_loading` has noted the future of this very load
                slot.loading = None

    def _make_room(self, keep: ModelVersion) -> None:
        """Set models aside, the one used longest ago first, until the rest fit the budget."""
        if self._budget is None:
            return
        idle = sorted(
            (
                s
                for s in self._versions.values()
                if s.model and not (s.pinned or s.users or s is keep)
            ),
            key=lambda slot: slot.used_at,
        )
        while idle and self.loaded_bytes > self._budget:
            slot = idle.pop(0)
            slot.state = State.SET_ASIDE
            logger.info("%s is set aside to make room", slot.name)
            self._close_if_done(slot)

    @property
    def loaded_bytes(self) -> int:
        """What the sessions of all loaded models take."""
        return sum(model.layout.session_bytes for model in self.models)

    def _retire(self, slot: ModelVersion) -> None:
        slot.retired = True
        self._close_if_done(slot)

    def _close_if_done(self, slot: ModelVersion) -> None:
        """Close the model of a slot that is not served any more, once nobody holds it."""
        unwanted = slot.retired or slot.state in (State.UNLOADED, State.SET_ASIDE)
        if not unwanted or slot.users or slot.model is None:
            return
        last, slot.model = [slot.model], None
        # its threads end after their last batch: nobody, least of all the event loop, waits for it
        threading.Thread(target=_end, args=(last,), name=f"close {slot.name}", daemon=True).start()


def _end(last: list[ServedModel]) -> None:
    """Close the model in ``last``, where its last reference is, and give back what it took."""
    last.pop().close()
    trim_memory()
