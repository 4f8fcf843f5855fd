"""A served model: real graphs behind a batcher, and what it expects of its own pace."""

import asyncio
import math
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from service.cpus import own_processors
from service.imaging import images
from service.imaging.images import decode_image, prepare
from service.imaging.resize import ModelInput, to_input
from service.inference.affinity import CorePool
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.model import LoadedModel
from service.inference.task import Job
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem
from service.repository.loader import load_model
from service.settings import Settings
from tests.packages import CLASSIFIER
from tests.service.models import SHARED

DETECTOR = "efficientdet_lite0_voc"


NOWHERE = 10_000  # the number of a processor that no machine has


@pytest.fixture
def model(loader, make_candidate) -> LoadedModel:
    made = loader(make_candidate(("a", "1")))
    yield made
    loader.gate.set()
    made.close()


def job(content: bytes | ModelInput, query: object = None) -> Job:
    return Job(content, query, RequestPolicy(Deadline.after(20)))


def submit(model: LoadedModel, content: bytes | ModelInput) -> asyncio.Task:
    return asyncio.create_task(model.submit(job(content)))


async def classify(model: LoadedModel, photo: Path, times: int) -> None:
    """Ask the same of ``model`` again and again, one at a time."""
    image = to_input(decode_image(photo.read_bytes(), 10**7), model.manifest.input)
    query = model.predictor.to_query(ClassifyParameters())
    for _ in range(times):
        await model.submit(job(image, query))


def test_a_photo_that_cannot_be_decoded_costs_its_batch_nothing(
    model: LoadedModel, loader, image: ModelInput, photos: Path
) -> None:
    photo = (photos / "cat.jpg").read_bytes()
    jobs = [job(image), job(photo), job(photo[:3000]), job(photo)]

    async def scenario() -> list:
        loader.gate.clear()
        first = asyncio.create_task(model.submit(jobs[0]))
        await asyncio.sleep(0.1)
        rest = [asyncio.create_task(model.submit(one)) for one in jobs[1:]]
        await asyncio.sleep(0.1)
        loader.gate.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    results = asyncio.run(scenario())
    stages = [list(one.stages) for one in jobs]
    decoded = ["queue", "decode", "inference"]
    assert stages == [["queue", "inference"], decoded, ["queue"], decoded]
    assert isinstance(results.pop(2), Problem)
    for result in results:
        assert result["classifications"] == [{"version": "1", "score": 1.0}]
    assert loader.models[0].predictor.images == 3, "and is not run"


def test_a_query_that_does_not_suit_its_image_costs_its_batch_nothing(
    model: LoadedModel, loader, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a region that lies beside the photo, which is known once that is decoded."""

    def group(image: ModelInput, query: str) -> None:
        if query == "beside":
            raise Problem("region_outside", "It lies outside.")

    photo = (photos / "cat.jpg").read_bytes()
    monkeypatch.setattr(loader.models[0].predictor, "group", group)

    async def scenario() -> list:
        asked = [job(photo, query) for query in ("within", "beside", "within")]
        works = [asyncio.create_task(model.submit(one)) for one in asked]
        return await asyncio.gather(*works, return_exceptions=True)

    first, beside, last = asyncio.run(scenario())
    assert beside.code == "region_outside"
    assert first["classifications"] == last["classifications"] == [{"version": "1", "score": 1.0}]


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_no_answer(
    model: LoadedModel, image: ModelInput, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    scores = iter([0.5, score])
    monkeypatch.setattr(
        model.predictor, "run", lambda images, _, alone: [[{"score": next(scores)}] for _ in images]
    )

    async def scenario() -> list:
        return await asyncio.gather(*(submit(model, image) for _ in "ab"), return_exceptions=True)

    good, bad = asyncio.run(scenario())
    assert good["classifications"] == [{"score": 0.5}]
    assert isinstance(bad, Problem)
    assert (bad.code, "not a number" in bad.detail) == ("internal_error", True)


def test_threads_of_their_own_decode_before_the_queue(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(decode_threads=1, concurrent_runs=1)
    others = set(threading.enumerate())
    model = load_model(store / CLASSIFIER / "1", settings, SHARED)
    decoded_by = []

    def noted(*arguments: object, **options: bool) -> ModelInput:
        decoded_by.append(threading.current_thread().name)
        return prepare(*arguments, **options)

    monkeypatch.setattr(images, "prepare", noted)
    photo = (photos / "cat.jpg").read_bytes()
    asked = job(photo, model.predictor.to_query(ClassifyParameters()))
    asyncio.run(model.submit(asked))
    model.close()
    assert model.layout.decode_threads == 1
    assert list(asked.stages) == ["decode", "queue", "inference"]
    assert decoded_by == ["decode-0"]
    left = {thread.name for thread in set(threading.enumerate()) - others}
    assert not left & {"decode-0", f"{CLASSIFIER}-0"}


@pytest.mark.parametrize("threads", [0, 1], ids=["runs decode", "threads decode"])
def test_what_does_not_go_together_is_run_apart(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Photos of several queries in one queue: each is answered as it would be alone."""
    settings = Settings(decode_threads=threads, concurrent_runs=1, max_batch_size=4)
    model = load_model(store / DETECTOR / "1", settings, SHARED)
    photo = (photos / "cat.jpg").read_bytes()
    queries = [
        model.predictor.to_query(DetectParameters(score_threshold=0.02, iou_threshold=iou))
        for iou in (0.1, 0.9, 0.1, 0.9)
    ]
    ran: list[set] = []
    run = model.predictor.run
    monkeypatch.setattr(
        model.predictor,
        "run",
        lambda images, queries, alone: (
            ran.append({query.iou_threshold for query in queries}) or run(images, queries)
        ),
    )

    async def scenario() -> list:
        return await asyncio.gather(*(model.submit(job(photo, query)) for query in queries))

    one, other, *rest = (result["detections"] for result in asyncio.run(scenario()))
    model.close()
    assert [len(rows) for rows in rest] == [len(one), len(other)]
    assert len(one) < len(other)
    assert all(len(thresholds) == 1 for thresholds in ran)


def test_the_pace_is_learnt_from_batches_that_ran(
    model: LoadedModel, loader, image: ModelInput
) -> None:
    async def scenario() -> None:
        loader.gate.clear()
        task = submit(model, image)
        await asyncio.sleep(0.2)
        loader.gate.set()
        await task

    asyncio.run(scenario())
    pace = model.pace
    pace.pending = 10
    assert 1.5 < pace.expected_wait < 20
    pace.check(Deadline.after(60))
    with pytest.raises(Problem, match="10 images are before this one") as caught:
        pace.check(Deadline.after(1))
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after == pytest.approx(pace.expected_wait - 1, abs=0.1)


def test_the_latency_session_gives_the_same_answer(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: an answer does not depend on what else is in service."""
    in_service = 1
    settings = Settings(threads=1, latency_threads=3)
    shared = replace(SHARED, images_in_service=lambda: in_service)
    model = load_model(store / DETECTOR / "1", settings, shared)
    assert (model.layout.threads, model.layout.latency_threads) == (1, 3)
    package = model.predictor._package
    ran = []
    for name in ("session", "latency_session"):
        session = getattr(package, name)
        run = session.run
        monkeypatch.setattr(session, "run", lambda *a, n=name, r=run: ran.append(n) or r(*a))
    query = model.predictor.to_query(DetectParameters(score_threshold=0.02))
    image = to_input(decode_image((photos / "cat.jpg").read_bytes(), 10**7), model.manifest.input)

    async def ask() -> list[dict]:
        return (await model.submit(job(image, query)))["detections"]

    alone = asyncio.run(ask())
    in_service = 2
    beside_another = asyncio.run(ask())
    model.close()
    assert ran == ["latency_session", "session"]
    assert alone == beside_another
    assert len(alone) > 5


def test_where_requests_overlap_none_takes_the_latency_session(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency run has all processors: where requests overlap, the next one would wait for it."""
    in_service = 1
    settings = Settings(threads=1, latency_threads=2)
    shared = replace(SHARED, images_in_service=lambda: in_service)
    model = load_model(store / CLASSIFIER / "1", settings, shared)
    ran = []
    run = model.predictor.run
    monkeypatch.setattr(model.predictor, "run", lambda *a, alone: ran.append(alone) or run(*a))
    photo = photos / "cat.jpg"
    asyncio.run(classify(model, photo, times=2))
    in_service = 2
    asyncio.run(classify(model, photo, times=4))
    in_service = 1
    asyncio.run(classify(model, photo, times=12))
    model.close()
    assert ran[:6] == [True, True, False, False, False, False]
    assert not any(ran[6:9]), "others were in service just now"
    assert all(ran[-4:])


@pytest.mark.parametrize(
    ("threads", "beyond", "pinned"),
    [(1, 0, True), (2, 0, False), (1, 1, False)],
    ids=["one thread a run", "several threads", "fewer runs than processors"],
)
def test_runs_that_are_mostly_concurrent_are_pinned(
    store: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    beyond: int,
    pinned: bool,
) -> None:
    """``beyond``: processors that there are more than runs."""
    in_service = 1
    mine = own_processors()
    settings = Settings(threads=threads, concurrent_runs=len(mine))
    cores = CorePool([*mine, *range(NOWHERE, NOWHERE + beyond)])
    shared = replace(SHARED, images_in_service=lambda: in_service, cores=cores)
    model = load_model(store / CLASSIFIER / "1", settings, shared)
    where = []
    run = model.predictor.run
    monkeypatch.setattr(
        model.predictor,
        "run",
        lambda *a, alone: where.append(frozenset(os.sched_getaffinity(0))) or run(*a),
    )
    photo = photos / "cat.jpg"
    asyncio.run(classify(model, photo, times=30))
    in_service = 2
    asyncio.run(classify(model, photo, times=30))
    in_service = 1
    asyncio.run(classify(model, photo, times=30))
    model.close()
    assert set(where[:30]) == {mine}, "a latency run has all"
    assert where[31] == mine, "with others in service only once"
    assert where[59] == mine if not pinned else len(where[59]) == 1
    assert where[-1] == mine
