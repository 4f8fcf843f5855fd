"""Versions on trial in the engine: who answers, what is compared, and what a bad one costs."""

import asyncio
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.engine import Answer, Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import Label
from service.parameters import ClassifyParameters
from service.problems import Problem
from service.rollout import rollout as rollout_module
from service.rollout.plan import Canary, Guard, Plan, Shadow
from service.rollout.report import report
from service.rollout.rollout import RequestKey, Rollout
from service.scoreboard import Scoreboard
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import CLASSIFIER, copy_package
from tests.service.rollout.fakes import Loads
from tests.service.scoreboards import scoreboards

NOTHING = ServiceState()
GUARD = Guard(min_samples=5, p99_ratio=None)  # a busy machine is no fault of a version


@pytest.fixture(scope="module")
def own_store(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """pets/1, and pets/2, which is the same network."""
    folder = tmp_path_factory.mktemp("store")
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", folder, "pets", version)
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    made = Loads()
    monkeypatch.setattr("service.engine.engine.load_model", made)
    return made


@pytest.fixture
def engine(own_store: Path, tmp_path: Path, loads: Loads) -> Iterator[Engine]:
    made = open_engine(own_store, tmp_path)
    yield made
    for version in loads.versions.values():
        version.released.set()
    made.close()


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


def test_a_canary_answers_its_share(engine: Engine, cat: bytes) -> None:
    assert ask_all(engine, cat, 2) == {"2": 2}, "without a rollout the highest version answers"
    rollout = begin(engine, canary(0.3))
    versions = ask_all(engine, cat, 40)
    assert 4 <= versions["2"] <= 20
    assert versions["1"] == 40 - versions["2"]
    assert ask_all(engine, cat, 40) == versions, "the same requests get the same version"
    known = report(rollout)
    assert (known.phase, known.share) == ("running", 0.3)
    assert known.candidate.requests == 2 * versions["2"]
    assert known.agreement is not None
    assert known.agreement.value == 1.0
    assert known.compared >= 2 * versions["2"], "its own, and some of the other's"
    assert known.candidate.memory_bytes == 12_345, "of its process"


def test_a_larger_share_holds_the_smaller_one(engine: Engine, cat: bytes) -> None:
    chosen = []
    for share in (0.1, 0.4, 1.0):
        rollout = begin(engine, canary(share))
        ask_all(engine, cat, 1)
        keys = [RequestKey(str(i), {}) for i in range(200)]
        chosen.append({key.request_id for key in keys if rollout.chooses(key, [cat])})
    assert chosen[0] < chosen[1] < chosen[2]
    assert [len(keys) for keys in chosen] == pytest.approx([20, 80, 200], abs=15)


def test_a_user_keeps_the_version(engine: Engine, cat: bytes) -> None:
    begin(engine, canary(0.5, sticky="header X-User"))
    by_user = [set(ask_all(engine, cat, 3, **{"x-user": user})) for user in "abcdefgh"]
    assert all(len(versions) == 1 for versions in by_user)
    assert set().union(*by_user) == {"1", "2"}
    assert ask_all(engine, cat, 20).keys() == {"1", "2"}, "without the header the id decides"


def test_a_shadow_answers_nobody_and_is_compared(engine: Engine, loads: Loads, cat: bytes) -> None:
    rollout = begin(engine, shadow(0.5))
    assert loads.trials[-1] == ("2", "shadow")
    assert ask_all(engine, cat, 30) == {"1": 30}
    known = report(rollout)
    assert 5 <= known.compared <= 25
    assert (known.dropped, known.failed) == (0, 0)
    assert known.score_difference is not None
    assert known.score_difference.value == 0
    assert known.candidate.inference_ms is not None
    assert known.candidate.requests == 0


def test_a_shadow_that_fails_harms_nobody(engine: Engine, loads: Loads, cat: bytes) -> None:
    rollout = begin(engine, shadow(1.0))
    loads.versions["2"].fails = True
    assert ask_all(engine, cat, 4) == {"1": 4}
    assert (report(rollout).failed, report(rollout).compared) == (4, 0)
    engine.rollouts.look()
    assert rollout.phase == "running", "it answers nobody: there is nothing to take back"


def test_a_damaged_image_is_no_fault_of_the_candidate(engine: Engine, cat: bytes) -> None:
    rollout = begin(engine, canary(1.0))

    async def broken() -> Answer:
        parameters, policy = ClassifyParameters(model="pets"), RequestPolicy(Deadline.after(30))
        key = RequestKey("1", {})
        return await engine.answer("classification", [cat[:500]], parameters, policy, key)

    answer = asyncio.run(broken())
    assert isinstance(answer.results[0], Problem)
    assert answer.results[0].code == "invalid_image"
    assert list(rollout.tally.candidate.answers) == [1, 0]


def test_a_version_that_is_named_is_no_part_of_it(engine: Engine, cat: bytes) -> None:
    rollout = begin(engine, canary(1.0))

    async def named() -> Answer:
        parameters = ClassifyParameters(model="pets/1")
        policy = RequestPolicy(Deadline.after(30))
        return await engine.answer("classification", [cat], parameters, policy)

    assert asyncio.run(named()).manifest.version == "1"
    assert rollout.tally.candidate.answers[0] == 0


def test_errors_cost_no_caller_anything_and_take_it_back(
    engine: Engine, loads: Loads, cat: bytes
) -> None:
    rollout = begin(engine, canary(1.0))
    loads.versions["2"].fails = True
    assert ask_all(engine, cat, 3) == {"1": 3}, "the other version answers in its place"
    phase_until(engine, rollout, "taken_back")
    known = report(rollout)
    assert known.cause == "errors"
    assert "3 of 3 requests failed" in (known.reason or "")
    assert ask_all(engine, cat, 3) == {"1": 3}


def test_an_end_of_its_process_takes_it_back_at_once(
    engine: Engine, loads: Loads, cat: bytes
) -> None:
    rollout = begin(engine, canary(1.0))
    assert ask_all(engine, cat, 2) == {"2": 2}
    process = loads.versions["2"].process
    assert process is not None
    process.fault = "its process was ended by SIGSEGV"
    assert ask_all(engine, cat, 3) == {"1": 3}
    engine.rollouts.look()
    assert (rollout.phase, report(rollout).cause) == ("taken_back", "process")
    phase_until(engine, rollout, "taken_back")
    engine.rollouts._settle(rollout.reference).result(10)
    ends = time.monotonic() + 10
    while not process.closed:
        assert time.monotonic() < ends, "what it took is freed"
        time.sleep(0.01)


def test_a_candidate_that_hangs_delays_one_caller_a_little(
    engine: Engine, loads: Loads, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_module, "PATIENCE_SECONDS", 0.2)
    rollout = begin(engine, canary(1.0))
    ask_all(engine, cat, 2)
    loads.versions["2"].hangs.set()

    async def timed() -> list[float]:
        seconds = []
        for i in range(6):
            began = time.monotonic()
            assert (await ask(engine, cat, str(i))).manifest.version == "1"
            seconds.append(time.monotonic() - began)
        assert engine.longest_run < seconds[0], "which would end the worker"
        loads.versions["2"].released.set()
        assert engine.shadows.running is not None
        await engine.shadows.running  # its run ends while somebody waits for it
        return seconds

    first, *others = asyncio.run(timed())
    assert first >= 0.2
    assert sum(others) < 5 * first, "no other waits for it"
    assert list(rollout.tally.candidate.answers) == [3, 1]


def test_swapped_labels_are_taken_back_for_good(
    engine: Engine, own_store: Path, tmp_path: Path, loads: Loads, cat: bytes
) -> None:
    rollout = begin(engine, canary(0.2, compare=1.0))
    labels = loads.versions["2"].manifest.labels
    loads.versions["2"].label = Label(id=labels[0].id, name=labels[1].name)
    ask_all(engine, cat, 12)
    phase_until(engine, rollout, "taken_back")
    known = report(rollout)
    assert known.cause == "disagreement"
    assert "100.0% of the answers differ" in (known.reason or "")
    assert ask_all(engine, cat, 20) == {"1": 20}
    again = open_engine(own_store, tmp_path)
    try:
        assert ask_all(again, cat, 5) == {"1": 5}, "nor does it come back by a restart"
        assert again.rollouts.all[0].phase == "taken_back"
    finally:
        again.close()


def test_a_schedule_ends_in_promotion(engine: Engine, loads: Loads, cat: bytes) -> None:
    plan = Canary(schedule=(0.5, 1.0), step_seconds=0.01, guard=GUARD)
    rollout = begin(engine, Plan(version="2", canary=plan))
    time.sleep(0.02)
    engine.rollouts.look()
    assert rollout.share == 0.5, "no request has shown anything yet"
    ask_all(engine, cat, 30)
    phase_until(engine, rollout, "promoted")
    engine.rollouts._settle(rollout.reference).result(10)
    assert loads.trials[-1] == ("2", None), "it is served as others are"
    assert ask_all(engine, cat, 3) == {"2": 3}


def test_an_operator_ends_it(engine: Engine, cat: bytes) -> None:
    begin(engine, canary(0.5))
    engine.rollouts.end(("pets", "2"), "aborted").result(10)
    assert ask_all(engine, cat, 10) == {"1": 10}, "though it is the highest"
    with pytest.raises(Problem, match="no rollout"):
        engine.rollouts.end(("pets", "2"), "promoted")
    begin(engine, canary(0.5))
    engine.rollouts.end(("pets", "2"), "promoted").result(10)
    assert ask_all(engine, cat, 10) == {"2": 10}


def test_a_plan_in_the_file_begins_by_itself(engine: Engine, tmp_path: Path, cat: bytes) -> None:
    path = tmp_path / "rollouts.json"
    path.write_text(json.dumps({"pets": {"version": "2", "canary": {"share": 1.0}}}))
    engine.rollouts.look()
    rollout = engine.rollouts.all[0]
    engine.rollouts._settle(rollout.reference).result(10)
    assert ask_all(engine, cat, 3) == {"2": 3}
    assert json.loads(path.read_text())["pets"]["state"]["phase"] == "running"
    path.write_text("{}")
    engine.rollouts.look()
    engine.rollouts._settle(rollout.reference).result(10)
    assert engine.rollouts.all == []
    model = engine.repository.find("pets").model
    assert model is not None
    assert (model.manifest.version, model.trial) == ("2", None), "as the store has it"


def test_what_cannot_be_loaded_is_taken_back(engine: Engine, loads: Loads, cat: bytes) -> None:
    loads.broken.add("2")
    rollout = begin(engine, canary(1.0))
    phase_until(engine, rollout, "taken_back")
    assert "cannot be loaded" in (report(rollout).reason or "")
    assert ask_all(engine, cat, 2) == {"1": 2}


def test_workers_judge_and_go_back_together(
    own_store: Path,
    tmp_path: Path,
    loads: Loads,
    cat: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two requests have failed in each, and three are needed."""
    engines = [open_engine(own_store, tmp_path, board) for board in scoreboards(2, monkeypatch)]
    try:
        rollout = begin(engines[0], canary(1.0))
        engines[1].rollouts.follow(rollout.reference)
        for engine in engines:
            fake = engine.repository.find("pets/2").model
            assert fake is not None
            fake.predictor.fails = True
            assert engine.rollouts.all[0].phase == "running"
            assert ask_all(engine, cat, 2) == {"1": 2}
        for engine in engines:
            phase_until(engine, engine.rollouts.all[0], "taken_back")
            assert report(engine.rollouts.all[0]).candidate.requests == 4
        # judged as soon as one has seen a third, or a fourth
        assert re.match(r"([34]) of \1 requests failed", report(rollout).reason or "")
    finally:
        for engine in engines:
            engine.close()


@pytest.mark.parametrize("change", ["unloaded", "pinned", "unknown"])
def test_what_cannot_begin(engine: Engine, change: str) -> None:
    reference = ("pets", "2")
    if change == "unloaded":
        engine.repository.unload(reference)
    elif change == "pinned":
        engine.repository.pin(reference)
    else:
        reference = ("pets", "9")
    with pytest.raises(Problem):
        engine.rollouts.begin("pets", Plan(version=reference[1], shadow=Shadow(share=0.1)))


def test_a_real_process_that_is_killed_costs_no_caller_anything(
    own_store: Path, tmp_path: Path, cat: bytes
) -> None:
    engine = open_engine(own_store, tmp_path)
    try:
        rollout = begin(engine, canary(1.0))
        assert ask_all(engine, cat, 2) == {"2": 2}
        model = engine.repository.find("pets/2").model
        assert model is not None
        assert model.process is not None
        os.kill(model.process._process.pid, signal.SIGKILL)
        assert ask_all(engine, cat, 5) == {"1": 5}
        phase_until(engine, rollout, "taken_back")
        assert "SIGKILL" in (report(rollout).reason or "")
        assert report(rollout).agreement is not None
    finally:
        engine.close()


def test_regions_are_answered_by_either_version_and_not_compared(
    engine: Engine, cat: bytes
) -> None:
    rollout = begin(engine, canary(0.5))
    asked = ClassifyParameters(model="pets", regions=[[0, 0, 200, 200], [100, 50, 400, 290]])

    async def ask_for_regions() -> list[Answer]:
        answers = []
        for i in range(12):
            policy, key = RequestPolicy(Deadline.after(30)), RequestKey(str(i), {})
            answers.append(await engine.answer("classification", [cat], asked, policy, key))
        return answers

    answers = asyncio.run(ask_for_regions())
    assert {answer.manifest.version for answer in answers} == {"1", "2"}
    assert {len(answer.results[0]["regions"]) for answer in answers} == {2}
    assert [answer.sample for answer in answers] == [None] * 12
    assert report(rollout).compared == 0
