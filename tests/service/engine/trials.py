"""Trials of a version in an engine, and requests meanwhile, for tests."""

import asyncio
import time
from collections import Counter
from pathlib import Path

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import ClassifyParameters
from service.problems import Problem
from service.rollout.plan import Canary, Guard, Plan, Shadow
from service.rollout.rollout import RequestKey, Rollout
from service.scoreboard import Scoreboard
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState

NOTHING = ServiceState()
GUARD = Guard(min_samples=5, p99_ratio=None)  # a busy machine is no fault of a version


def open_engine(store: Path, folder: Path, board: Scoreboard | None = None) -> Engine:
    settings = Settings(
        model_store=store,
        rollouts_file=folder / "rollouts.json",
        concurrent_runs=1,
        watch_seconds=0,
        decoding="in_process",
    )
    return Engine(settings, Metrics(lambda: NOTHING, board))


def begin(engine: Engine, plan: Plan) -> Rollout:
    engine.rollouts.begin("pets", plan).result(60)
    rollout = engine.rollouts.of(("pets", plan.version))
    assert rollout is not None
    return rollout


def canary(share: float, **given: object) -> Plan:
    return Plan(version="2", canary=Canary(share=share, guard=GUARD, **given))


def shadow(share: float) -> Plan:
    return Plan(version="2", shadow=Shadow(share=share))


async def ask(engine: Engine, photo: bytes, key: str, **headers: str) -> Answer:
    """A request, and what follows once its reply is sent."""
    answer = await engine.answer(
        "classification",
        [photo],
        ClassifyParameters(model="pets"),
        RequestPolicy(Deadline.after(30)),
        RequestKey(key, headers),
    )
    assert not isinstance(answer.results[0], Problem), answer.results[0].detail
    if answer.sample is not None:
        await engine.shadows.offer(answer.sample)
    return answer


def ask_all(engine: Engine, photo: bytes, number: int, **headers: str) -> Counter[str]:
    """How many of so many requests each version has answered; all comparisons are over."""

    async def run() -> Counter[str]:
        versions: Counter[str] = Counter()
        for i in range(number):
            versions[(await ask(engine, photo, str(i), **headers)).manifest.version] += 1
            if engine.shadows.running is not None:
                await engine.shadows.running
        return versions

    return asyncio.run(run())


def phase_until(engine: Engine, rollout: Rollout, phase: str) -> None:
    """Looks, as the rollouts' own thread does."""
    ends = time.monotonic() + 20
    while rollout.phase != phase:
        assert time.monotonic() < ends, rollout.phase
        time.sleep(0.02)
        engine.rollouts.look()
