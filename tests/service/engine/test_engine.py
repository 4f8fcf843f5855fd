"""The engine on the shipped models: bad images, deadlines, and what it starts with."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.imaging.images import decode_input
from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.package import PackageError
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem
from service.repository.version import State
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import CLASSIFIER, break_graph, copy_package
from tests.service.answers import assert_close

NOTHING = ServiceState()


def make_engine(**settings: object) -> Engine:
    settings = {"concurrent_runs": 1, "watch_seconds": 0, **settings}
    return Engine(Settings(**settings), Metrics(lambda: NOTHING))


def policy(seconds: float = 60, priority: Priority = Priority.INTERACTIVE) -> RequestPolicy:
    return RequestPolicy(Deadline.after(seconds), priority)


@pytest.fixture(scope="module", params=[0, 2], ids=["runs decode", "threads decode"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Of batches of four: what is asked at once shares its runs."""
    made = make_engine(max_batch_size=4, max_images_in_service=40, decode_threads=request.param)
    yield made
    made.close()


def detect(engine: Engine, contents: list, **parameters: object) -> Answer:
    return asyncio.run(
        engine.answer("detection", contents, DetectParameters(**parameters), policy())
    )


def photos_of(photos: Path, number: int) -> list[bytes]:
    files = sorted(photos.glob("*.jpg"))
    return [files[i % len(files)].read_bytes() for i in range(number)]


def test_one_bad_image_among_16_costs_the_others_nothing(engine: Engine, photos: Path) -> None:
    contents: list = photos_of(photos, 16)
    contents[5] = contents[5][:3000]
    alone = [detect(engine, [c]).results[0] for i, c in enumerate(contents) if i != 5]
    results = detect(engine, contents).results
    bad = results.pop(5)
    assert isinstance(bad, Problem)
    assert bad.code == "invalid_image"
    for result, expected in zip(results, alone, strict=True):
        assert_close(result, expected)


def test_batches_of_one_answer_bit_for_bit_as_serial_requests(photos: Path) -> None:
    engine = make_engine(max_batch_size=1)
    contents = photos_of(photos, 7)
    parameters = {"score_threshold": 0.02, "max_detections": 1000}
    alone = [detect(engine, [content], **parameters).results[0] for content in contents]
    together = detect(engine, contents, **parameters).results
    engine.close()
    assert together == alone
    assert sum(len(result["detections"]) for result in alone) > 50


def test_a_problem_among_the_contents_stands_in_its_place(engine: Engine, photos: Path) -> None:
    (photo,) = photos_of(photos, 1)
    given = Problem("url_not_allowed", "No.")
    first, second, third = detect(engine, [given, photo, b""]).results
    assert first is given
    assert second["detections"]
    assert third.code == "empty_image"


def test_what_is_late_is_not_even_decoded(engine: Engine, photos: Path) -> None:
    async def scenario() -> Answer:
        late = RequestPolicy(Deadline(time.monotonic() - 1, 0.01))
        return await engine.answer("detection", photos_of(photos, 2), DetectParameters(), late)

    answer = asyncio.run(scenario())
    assert [problem.code for problem in answer.results] == ["deadline_exceeded"] * 2
    assert "before decoding" in answer.results[0].detail
    assert not any("inference" in times.stages for times in answer.times)


def test_a_request_that_is_given_up_frees_its_room_and_is_not_run(
    engine: Engine, photos: Path
) -> None:
    model = engine.repository.find(None, "detection").model
    begun, gate, ran, run = threading.Event(), threading.Event(), [], model.predictor.run

    def slowly(images: list, queries: list, **how: bool) -> list:
        begun.set()
        assert gate.wait(10)
        ran.append(len(images))
        return run(images, queries, **how)

    model.predictor.run = slowly
    contents = photos_of(photos, 8)

    async def scenario() -> None:
        task = asyncio.create_task(
            engine.answer("detection", contents, DetectParameters(), policy())
        )
        ends = time.monotonic() + 10
        while model.waiting < 4 or not begun.is_set():
            assert time.monotonic() < ends
            await asyncio.sleep(0.01)
        assert (engine.admission.images, model.pace.pending) == (8, 8)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (engine.admission.images, model.pace.pending) == (0, 0)
        assert engine.repository.find(None, "detection").users == 0
        gate.set()
        last = await engine.answer("detection", contents[:1], DetectParameters(), policy())
        assert last.results[0]["detections"]

    try:
        asyncio.run(scenario())
    finally:
        del model.predictor.run
    assert len(ran) == 2, "what was running, and the last request"
    assert sum(ran) <= 5
    assert engine.admission.decoding == 0


def test_the_bytes_of_an_image_that_runs_are_counted_though_its_caller_has_gone(
    engine: Engine, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> ModelInput:
        begun.set()
        assert gate.wait(10)
        return decode_input(*arguments)

    monkeypatch.setattr("service.inference.decoder.decode_input", slowly)
    (photo,) = photos_of(photos, 1)

    async def ask() -> Answer:
        with engine.admission.hold_bytes() as room:
            room.add(len(photo))
            return await engine.answer("classification", [photo], ClassifyParameters(), policy())

    async def scenario() -> None:
        task = asyncio.create_task(ask())
        await asyncio.to_thread(begun.wait, 10)
        assert engine.admission.bytes == len(photo)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (engine.admission.images, engine.admission.bytes) == (0, len(photo))
        gate.set()
        ends = time.monotonic() + 10
        while engine.admission.bytes:
            assert time.monotonic() < ends
            await asyncio.sleep(0.01)

    try:
        asyncio.run(scenario())
    finally:
        gate.set()


def test_what_cannot_be_run_in_time_is_refused_at_once(engine: Engine, photos: Path) -> None:
    model = engine.repository.find(None, "classification").model
    for _ in range(100):
        model.pace.note(5.0, 1)
    model.pace.pending = 3

    async def ask(seconds: float) -> Answer:
        contents = photos_of(photos, 1)
        wanted = ClassifyParameters()
        return await engine.answer("classification", contents, wanted, policy(seconds))

    try:
        with pytest.raises(Problem, match="3 images are before this one") as caught:
            asyncio.run(ask(10))
        assert caught.value.code == "overloaded"
        assert 4 < caught.value.retry_after < 6
        assert asyncio.run(ask(60)).results[0]["classifications"]
    finally:
        model.pace.pending = 0


def test_too_many_images_are_refused_whole(engine: Engine, photos: Path) -> None:
    with pytest.raises(Problem) as caught:
        detect(engine, photos_of(photos, 41))
    assert caught.value.code == "too_many_images", "trying again would not help"
    assert engine.admission.images == 0


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    """A store of pets/1 and pets/2."""
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", version)
    return tmp_path / "store"


def test_a_damaged_version_is_passed_over_if_there_is_another(own: Path) -> None:
    break_graph(own / "pets" / "2")
    engine = make_engine(model_store=own)
    broken, whole = engine.repository.versions
    engine.close()
    assert (broken.name, broken.state, whole.state) == ("pets/2", State.FAILED, State.READY)
    assert "sha256" in broken.reason


def test_without_a_fit_version_there_is_no_start(own: Path) -> None:
    for version in ("1", "2"):
        break_graph(own / "pets" / version)
    with pytest.raises(PackageError, match="sha256"):
        make_engine(model_store=own)


def test_a_folder_that_is_no_version_does_not_hinder_the_start(own: Path) -> None:
    (own / "pets" / "2").rename(own / "pets" / "2.bak")
    engine = make_engine(model_store=own)
    assert engine.repository.find("pets").name == "pets/1"
    assert "name the folder after it" in engine.repository.versions[-1].reason
    engine.close()


def test_a_provider_that_is_not_there_hinders_the_start(own: Path) -> None:
    with pytest.raises(PackageError, match="cuda: this ONNX Runtime"):
        make_engine(model_store=own, models={"pets": {"execution_providers": "cuda"}})


def test_a_store_beyond_the_budget_is_loaded_as_far_as_it_goes(own: Path, photos: Path) -> None:
    engine = make_engine(model_store=own, max_session_bytes=50_000_000)
    assert [entry.state for entry in engine.repository.versions] == [State.EVICTED, State.READY]
    snapshot = engine.state
    assert [model.sessions for model in snapshot.models] == [0, 1]
    assert [model.provider for model in snapshot.models] == [None, "cpu"]
    (photo,) = photos_of(photos, 1)
    asked = ClassifyParameters(model="pets/2")
    answer = asyncio.run(engine.answer("classification", [photo], asked, policy()))
    assert answer.manifest.version == "2"
    assert engine.repository.find("pets/2").state is State.READY
    engine.close()
