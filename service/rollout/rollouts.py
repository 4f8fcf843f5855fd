"""Versions that are tried on live traffic: who answers a request, and what comes of each trial.

a request ─► `find` ─► `chooses` ─► candidate ─┬─► reply ─► `Shadows`: the other version, compared
                            └─► baseline ◄─ it fails, or hangs       └─► tally ─► guard

A thread looks at the file of rollouts and at the tallies, twice a second.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from service.inference.isolated import Trial
from service.manifest import Task
from service.problems import Problem
from service.repository.repository import ModelRepository
from service.repository.store import Candidate, Reference
from service.repository.version import ModelVersion, State
from service.rollout.guard import Verdict, judge
from service.rollout.plan import Cause, Phase, Plan, Record
from service.rollout.records import RecordFile, Records
from service.rollout.rollout import Rollout
from service.rollout.shared import SharedTallies
from service.telemetry.logs import logger

LOOK_SECONDS = 0.5


class Rollouts:
    """At most one of each model; may be used from any thread.

    on_end: hears of each that was taken back: its model and the cause.
    """

    def __init__(
        self,
        repository: ModelRepository,
        records: RecordFile,
        shared: SharedTallies,
        on_end: Callable[[str, Cause], None],
    ) -> None:
        self._repository, self._file = repository, records
        self._shared, self._on_end = shared, on_end
        self._lock = threading.RLock()
        self._loads = ThreadPoolExecutor(1, "rollout")
        self._settling: dict[Reference, Future[None]] = {}
        self._all: Mapping[str, Rollout] = {}
        self._running: Mapping[str, Rollout] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rollouts", daemon=True)
        self._take(records.read())

    def start(self) -> None:
        """Look again and again, once the repository is filled."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._loads.shutdown()

    # -- requests

    def find(self, reference: str | None, task: Task) -> Rollout | None:
        """The rollout that a request to ``reference`` takes part in, if any runs; raises Problem as
        `ModelRepository.find` does."""
        if not self._running:
            return None
        entry = self._repository.find(reference, task)
        rollout = self._running.get(entry.reference[0])
        if rollout is None or rollout.reference == entry.reference:
            return None
        return rollout if rollout.meet(entry, self._entry(rollout.reference)) else None

    # -- the store, and what is told of it

    def trial_of(self, candidate: Candidate) -> Trial | None:
        """How the version that lies there is to be loaded."""
        folder = candidate.folder
        rollout = self._all.get(folder.parent.name)
        if rollout is None or rollout.reference[1] != folder.name or rollout.phase == "promoted":
            return None
        return rollout.record.mode

    def of(self, reference: Reference) -> Rollout | None:
        """The rollout of that version, over or not."""
        rollout = self._all.get(reference[0])
        return rollout if rollout and rollout.reference == reference else None

    @property
    def all(self) -> list[Rollout]:
        """Of every model, the last one."""
        return list(self._all.values())

    # -- operators

    def begin(self, name: str, plan: Plan) -> Future[None]:
        """Begin a rollout, in place of the model's last one; done once its version is loaded.

        Raises Problem if there is no such version, or nothing to compare it with.
        """
        reference = (name, plan.version)
        entry = self._entry(reference)
        if entry is None or entry.manifest is None:
            raise Problem("model_not_found", f"There is no version {'/'.join(reference)}.")
        if entry.state is State.UNLOADED:
            raise Problem("model_unloaded", f"{entry.name} has been unloaded; load it first.")
        if entry.pinned:
            raise Problem(
                "invalid_parameter", f"{entry.name} is pinned: it answers every request; unpin it."
            )
        others = [one.manifest for one in self._repository.versions if _is_other(one, reference)]
        if not any(other and other.task == entry.manifest.task for other in others):
            raise Problem("invalid_parameter", f"{name} has no other version that could answer.")
        record = Record(version=plan.version, shadow=plan.shadow, canary=plan.canary)
        logger.info("a %s of %s begins at %.1f %%", plan.mode, entry.name, 100 * record.share)
        return self._change(name, record.begun)

    def end(self, reference: Reference, phase: Phase) -> Future[None]:
        """Promote or abort the rollout of a version; done once that is so. Raises Problem if there
        is none, or it is over."""
        rollout = self.of(reference)
        if rollout is None or rollout.record.is_over:
            raise Problem("not_found", f"There is no rollout of {'/'.join(reference)}.")
        logger.info("the %s of %s is %s", rollout.record.mode, "/".join(reference), phase)
        self._move(rollout, phase=phase)
        return self._settle(reference)

    def follow(self, reference: Reference) -> None:
        """Do what another worker was told of a version's rollout; returns once that is so."""
        self.look()
        self._settle(reference).result()

    # -- what a trial comes to

    def look(self) -> None:
        """Bring the rollouts up to date with their file, and end or move on those that it is time
        for."""
        with self._lock:
            self._take(self._file.read())
            for name, rollout in self._all.items():
                if rollout.record.state is None:
                    self._change(name, rollout.begin)
                elif not rollout.record.is_over:
                    self._judge(rollout)
                else:
                    self._settle(rollout.reference)

    def _judge(self, rollout: Rollout) -> None:
        self._settle(rollout.reference)
        rollout.check(self._entry(rollout.reference))
        canary = rollout.record.canary
        verdict = Verdict("process", rollout.fault) if rollout.fault else None
        if verdict is None and canary is not None:
            verdict = judge(rollout.total, canary.guard)
        if verdict is not None:
            self._take_back(rollout, verdict)
        elif canary is not None and rollout.is_due:
            self._move_on(rollout)

    def _take_back(self, rollout: Rollout, verdict: Verdict) -> None:
        name, version = rollout.reference
        cause, reason = verdict
        logger.error(
            "%s/%s is taken back: %s",
            *(name, version, reason),
            extra={"model": name, "version": version, "cause": cause},
        )
        self._on_end(name, cause)
        self._move(rollout, phase="taken_back", reason=reason, cause=cause)

    def _move_on(self, rollout: Rollout) -> None:
        step = rollout.step + 1
        shares = rollout.record.canary.shares if rollout.record.canary else ()
        is_last = step == len(shares)
        what = "is promoted" if is_last else f"goes on at {shares[step]:.0%}"
        logger.info("%s %s", rollout.name, what)
        if is_last:
            self._move(rollout, phase="promoted")
        else:
            self._move(rollout, step=step)

    def _move(self, rollout: Rollout, **changes: object) -> None:
        """Change the rollout's record, unless another worker or an operator has been sooner."""
        record = rollout.record
        self._change(
            rollout.reference[0],
            lambda old: old.moved(**changes) if old is not None and old == record else old,
        )

    # -- the repository follows

    def _change(self, name: str, change: Callable[[Record | None], Record | None]) -> Future[None]:
        with self._lock:
            self._take(self._file.change(name, change))
            rollout = self._all.get(name)
            return self._settle(rollout.reference) if rollout else _done()

    def _take(self, records: Records) -> None:
        """Know ``records``, and forget the others."""
        before = self._all
        self._all = {
            name: before[name].updated(record)
            if name in before
            else Rollout(name, record, self._shared)
            for name, record in records.items()
        }
        self._running = {
            name: rollout for name, rollout in self._all.items() if rollout.phase == "running"
        }
        self._withhold()
        for name, rollout in before.items():
            if name not in self._all or self._all[name].reference != rollout.reference:
                self._settle(rollout.reference)

    def _withhold(self) -> None:
        """A promoted version is withheld until it is out of its trial's process."""
        withheld = {(name, v) for name, one in self._all.items() for v in one.record.withheld}
        for entry in self._repository.versions:
            if entry.is_on_trial:
                withheld.add(entry.reference)
        self._repository.withhold(frozenset(withheld))

    def _settle(self, reference: Reference) -> "Future[None]":
        """Have the repository hold a version as its rollout wants it; done once it does."""
        waiting = self._settling.get(reference)
        if waiting is not None and not waiting.done():
            return waiting
        if self._is_settled(reference):
            return _done()
        self._settling[reference] = self._loads.submit(self._bring, reference)
        return self._settling[reference]

    def _is_settled(self, reference: Reference) -> bool:
        entry, rollout = self._entry(reference), self.of(reference)
        if entry is None or entry.state in (State.UNLOADED, State.FAILED):
            return True
        trial = entry.model.trial if entry.model else None
        if rollout is None:
            return trial is None
        if rollout.record.is_over:
            return rollout.is_settled
        return rollout.fault is not None or trial == rollout.record.mode

    def _bring(self, reference: Reference) -> None:
        """What `_settle` has done, on a thread of its own: loading takes a while."""
        entry, rollout = self._entry(reference), self.of(reference)
        if entry is None:
            return
        phase = rollout.phase if rollout else None
        if phase in ("taken_back", "aborted"):
            self._repository.evict(reference)
        elif phase == "running" or entry.is_on_trial:
            loaded = self._repository.put(reference, entry.candidate)
            if rollout is not None and not loaded:
                rollout.fault = f"it cannot be loaded: {entry.reason}"
        if phase == "promoted":
            self._repository.pin(reference)
        if rollout is not None and phase != "running":
            rollout.is_settled = True
        self._withhold()
        if rollout is not None and rollout.phase != phase:  # meanwhile it was ended
            self._bring(reference)

    def _entry(self, reference: Reference) -> ModelVersion | None:
        return next((one for one in self._repository.versions if one.reference == reference), None)

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # whatever it is, the next look may do better
                logger.exception("a look at the rollouts failed")


def _is_other(entry: ModelVersion, reference: Reference) -> bool:
    return entry.reference[0] == reference[0] and entry.reference != reference


def _done() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
