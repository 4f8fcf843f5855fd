"""Versions on trial in the engine: who answers, what is compared, and how it ends; what a bad one
costs is in test_taking_back.py."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import ClassifyParameters
from service.problems import Problem
from service.rollout.plan import Canary, Plan, Shadow
from service.rollout.report import report
from service.rollout.rollout import RequestKey
from tests.service.engine.trials import GUARD, ask_all, begin, canary, phase_until, shadow
from tests.service.rollout.fakes import Loads


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
