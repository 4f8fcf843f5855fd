"""A version on trial that is bad costs no caller anything, and is taken back."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pytest

from service.engine.engine import Engine
from service.manifest import Label
from service.rollout import rollout as rollout_module
from service.rollout.report import report
from tests.service.engine.trials import (
    ask,
    ask_all,
    begin,
    canary,
    open_engine,
    phase_until,
    shadow,
)
from tests.service.rollout.fakes import Loads
from tests.service.scoreboards import scoreboards


def test_a_shadow_that_fails_harms_nobody(engine: Engine, loads: Loads, cat: bytes) -> None:
    rollout = begin(engine, shadow(1.0))
    loads.versions["2"].fails = True
    assert ask_all(engine, cat, 4) == {"1": 4}
    assert (report(rollout).failed, report(rollout).compared) == (4, 0)
    engine.rollouts.look()
    assert rollout.phase == "running", "it answers nobody: there is nothing to take back"


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
