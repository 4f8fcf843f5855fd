"""A served model: real graphs behind a batcher, and what it expects of its own pace."""

import asyncio
import hashlib
import json
import os
import threading
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from service.cpus import own_processors
from service.imaging.images import decode_image
from service.imaging.resize import ModelInput, to_input
from service.inference.affinity import CorePool
from service.inference.deadline import Deadline, Priority
from service.inference.model import ServedModel
from service.inference.task import Job, Undecoded
from service.package import PackageError
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem
from service.providers import ProviderError
from service.repository.loader import batch_sizes, serve
from service.settings import Settings
from tests.packages import CLASSIFIER, copy_package

DETECTOR = "efficientdet_lite0_voc"


NO_SEATS = CorePool(())
NOWHERE = 10_000  # the number of a processor that no machine has


def nothing() -> int:
    """Images in service."""
    return 0


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_batch_sizes_are_powers_of_two_and_the_largest(largest: int, sizes: tuple) -> None:
    assert batch_sizes(largest) == sizes


@pytest.fixture
def model(loader, make_candidate) -> ServedModel:
    made = loader(make_candidate(("a", "1")))
    yield made
    loader.gate.set()
    made.close()


def submit(model: ServedModel, image: ModelInput) -> asyncio.Task:
    job = Job(image, None)
    return asyncio.create_task(model.submit(job, Deadline.after(20), Priority.INTERACTIVE))


async def classify(model: ServedModel, photo: Path, times: int) -> None:
    """Ask the same of ``model`` again and again, one at a time."""
    image = to_input(decode_image(photo.read_bytes(), 10**7), model.manifest.input)
    job = Job(image, model.runner.to_query(ClassifyParameters()))
    for _ in range(times):
        await model.submit(job, Deadline.after(20), Priority.INTERACTIVE)


def test_a_photo_that_cannot_be_decoded_costs_its_batch_nothing(
    model: ServedModel, loader, image: ModelInput
) -> None:
    def fail() -> ModelInput:
        raise Problem("invalid_image", "Damaged.")

    async def scenario() -> list:
        loader.gate.clear()
        busy = submit(model, image)
        await asyncio.sleep(0.1)
        tasks = [
            asyncio.create_task(
                model.submit(Undecoded(decode, None), Deadline.after(20), Priority.INTERACTIVE)
            )
            for decode in (lambda: image, fail, lambda: image)
        ]
        await asyncio.sleep(0.1)
        loader.gate.set()
        return await asyncio.gather(busy, *tasks, return_exceptions=True)

    busy, first, damaged, last = asyncio.run(scenario())
    assert list(busy.stages) == ["queue", "inference"]
    assert list(first.stages) == list(last.stages) == ["queue", "decode", "inference"]
    assert first.rows == last.rows == [{"version": "1"}]
    assert isinstance(damaged, Problem)
    assert loader.models[0].runner.images == 3, "and is not run"


def test_threads_of_their_own_decode_before_the_queue(store: Path, photos: Path) -> None:
    settings = Settings(decode_threads=1, concurrent_runs=1)
    model = serve(store / CLASSIFIER / "1", settings, lambda name, size: None, nothing, NO_SEATS)
    image = to_input(decode_image((photos / "cat.jpg").read_bytes(), 10**7), model.manifest.input)
    decoded_by = []

    def decode() -> ModelInput:
        decoded_by.append(threading.current_thread().name)
        return image

    query = model.runner.to_query(ClassifyParameters())
    done = asyncio.run(
        model.submit(Undecoded(decode, query), Deadline.after(20), Priority.INTERACTIVE)
    )
    model.close()
    assert model.layout.decode_threads == 1
    assert list(done.stages) == ["decode", "queue", "inference"]
    assert decoded_by == ["decode_0"]
    assert not {t.name for t in threading.enumerate()} & {"decode_0", f"{CLASSIFIER}-0"}


def test_the_pace_is_learnt_from_batches_that_ran(
    model: ServedModel, loader, image: ModelInput
) -> None:
    async def scenario() -> None:
        loader.gate.clear()
        task = submit(model, image)
        await asyncio.sleep(0.2)
        loader.gate.set()
        await task

    asyncio.run(scenario())
    model.pending = 10
    assert 1.5 < model.expected_wait < 20
    model.check_wait(Deadline.after(60))
    with pytest.raises(Problem, match="10 images are before this one") as caught:
        model.check_wait(Deadline.after(1))
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after == pytest.approx(model.expected_wait - 1, abs=0.1)


def test_many_images_of_one_request_are_each_waited_for(model: ServedModel) -> None:
    model.note(0.5, 1)
    model.pending = 1
    deadline = Deadline.after(6)
    model.check_wait(deadline)
    with pytest.raises(Problem, match="1 images are before this one"):
        model.check_wait(deadline, 16)


def test_the_pace_follows_the_newest_runs(model: ServedModel) -> None:
    model.note(10.0, 1)
    model.pending = 1
    assert model.expected_wait == pytest.approx(10)
    for _ in range(60):
        model.note(0.2, 2)
    assert model.expected_wait == pytest.approx(0.1, abs=0.05)


def test_a_pace_that_was_slow_once_cannot_shut_the_model(model: ServedModel) -> None:
    model.note(100.0, 1)
    assert model.expected_wait == 0
    model.check_wait(Deadline.after(0.1))


def test_a_shipped_package_is_served_warm(store: Path) -> None:
    sizes: list[int] = []
    settings = Settings(max_batch_size=3, concurrent_runs=2, threads=1)
    model = serve(
        store / CLASSIFIER / "1", settings, lambda name, size: sizes.append(size), nothing, NO_SEATS
    )
    layout = model.layout
    assert (layout.provider, layout.threads, layout.concurrent_runs) == ("cpu", 1, 2)
    assert layout.max_batch_size == 3
    assert layout.session_bytes >= (store / CLASSIFIER / "1" / "model.onnx").stat().st_size
    assert sizes == [], "warming up is nobody's batch"
    names = {thread.name for thread in threading.enumerate()}
    assert {f"{CLASSIFIER}-0", f"{CLASSIFIER}-1"} <= names
    model.close()
    assert f"{CLASSIFIER}-0" not in {thread.name for thread in threading.enumerate()}


def test_a_lone_image_has_all_processors_and_the_same_answer(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: who asks twice must not see whether somebody else was there."""
    in_service = 1
    settings = Settings(threads=1, latency_threads=3)
    model = serve(
        store / DETECTOR / "1", settings, lambda name, size: None, lambda: in_service, NO_SEATS
    )
    assert (model.layout.threads, model.layout.latency_threads) == (1, 3)
    package = model.runner._package
    ran = []
    for name in ("session", "latency_session"):
        session = getattr(package, name)
        run = session.run
        monkeypatch.setattr(session, "run", lambda *a, n=name, r=run: ran.append(n) or r(*a))
    query = model.runner.to_query(DetectParameters(score_threshold=0.02))
    image = to_input(decode_image((photos / "cat.jpg").read_bytes(), 10**7), model.manifest.input)

    async def ask() -> list[dict]:
        done = await model.submit(Job(image, query), Deadline.after(20), Priority.INTERACTIVE)
        return done.rows

    alone = asyncio.run(ask())
    in_service = 2
    beside_another = asyncio.run(ask())
    model.close()
    assert ran == ["latency_session", "session"]
    assert alone == beside_another
    assert len(alone) > 5


def test_who_seldom_is_alone_is_not_run_as_if_it_were(
    store: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency run has all processors: where requests overlap, the next one would wait for it."""
    in_service = 1
    settings = Settings(threads=1, latency_threads=2)
    model = serve(
        store / CLASSIFIER / "1", settings, lambda name, size: None, lambda: in_service, NO_SEATS
    )
    ran = []
    run = model.runner.run
    monkeypatch.setattr(model.runner, "run", lambda *a, alone: ran.append(alone) or run(*a))
    photo = photos / "cat.jpg"
    asyncio.run(classify(model, photo, times=2))
    in_service = 2
    asyncio.run(classify(model, photo, times=4))
    in_service = 1
    asyncio.run(classify(model, photo, times=12))
    model.close()
    assert ran[:6] == [True, True, False, False, False, False]
    assert not any(ran[6:9]), "it has just had company"
    assert all(ran[-4:])


@pytest.mark.parametrize(
    ("threads", "beyond", "keeps_one"),
    [(1, 0, True), (2, 0, False), (1, 1, False)],
    ids=["one thread a run", "several threads", "fewer runs than processors"],
)
def test_runs_that_mostly_have_company_keep_a_processor_each(
    store: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    beyond: int,
    keeps_one: bool,
) -> None:
    """``beyond``: processors that there are more than runs."""
    in_service = 1
    mine = own_processors()
    settings = Settings(threads=threads, concurrent_runs=len(mine))
    model = serve(
        store / CLASSIFIER / "1",
        settings,
        lambda name, size: None,
        lambda: in_service,
        CorePool([*mine, *range(NOWHERE, NOWHERE + beyond)]),
    )
    where = []
    run = model.runner.run
    monkeypatch.setattr(
        model.runner,
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
    assert where[31] == mine, "that had company once"
    assert where[59] == mine if not keeps_one else len(where[59]) == 1
    assert where[-1] == mine


def test_a_second_session_can_be_spared(store: Path) -> None:
    settings = Settings(threads=1, latency_threads=1)
    model = serve(store / CLASSIFIER / "1", settings, lambda name, size: None, nothing, NO_SEATS)
    model.close()
    assert model.runner._package.latency_session is None


def test_settings_of_one_model_are_its_own(store: Path) -> None:
    settings = Settings(max_batch_size=3, models={CLASSIFIER: {"max_batch_size": 5}})
    model = serve(store / CLASSIFIER / "1", settings, lambda name, size: None, nothing, NO_SEATS)
    model.close()
    assert model.layout.max_batch_size == 5


def test_a_provider_that_is_not_there_is_refused_or_passed_over(store: Path) -> None:
    folder = store / CLASSIFIER / "1"
    wish = {"execution_providers": ("tensorrt", "cuda"), "concurrent_runs": 1}
    with pytest.raises(ProviderError, match=r"tensorrt: this ONNX Runtime .* has no Tensorrt"):
        serve(folder, Settings(**wish), lambda name, size: None, nothing, NO_SEATS)
    model = serve(
        folder, Settings(**wish, allow_fallback=True), lambda name, size: None, nothing, NO_SEATS
    )
    model.close()
    assert model.layout.provider == "cpu"


def test_a_graph_that_loads_and_cannot_run_is_refused(store: Path, tmp_path: Path) -> None:
    folder = copy_package(store / CLASSIFIER / "1", tmp_path, "pets", 1)
    write_graph_that_fails(folder)
    with pytest.raises(PackageError, match=r"pets/1: cannot be run: ") as caught:
        serve(folder, Settings(concurrent_runs=1), lambda name, size: None, nothing, NO_SEATS)
    assert "\n" not in str(caught.value)


def write_graph_that_fails(folder: Path) -> None:
    """A classifier of the right shape, which takes pixels for classes."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Shape", ["images"], ["number"], start=0, end=1),
            helper.make_node("Concat", ["number", "classes"], ["shape"], axis=0),
            helper.make_node("Reshape", ["floats", "shape"], ["probabilities"]),
        ],
        "fails",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 1000])],
        [helper.make_tensor("classes", TensorProto.INT64, [1], [1000])],
    )
    opset = json.loads((folder / "manifest.json").read_text())["opset"]
    path = folder / "model.onnx"
    path.unlink()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(model, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
