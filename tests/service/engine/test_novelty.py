"""Novelty in answers and in metrics, and companions that come, go and fail."""

import asyncio
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.http.descriptions import describe
from service.http.v2.outputs import Predictions, make_output
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem
from service.repository.store import companion_of
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import CLASSIFIER, copy_package
from tests.paths import ROOT
from tests.service.companions import add_companion

DETECTOR = "efficientdet_lite0_voc"


def make_engine(store: Path) -> Engine:
    settings = Settings(model_store=store, concurrent_runs=1, watch_seconds=0)
    made = Engine(settings, metrics := Metrics(ServiceState))
    metrics._state = lambda: made.state
    return made


def make_store(folder: Path) -> Path:
    for name, own in ((CLASSIFIER, "things"), (DETECTOR, "objects")):
        copy_package(ROOT / "model_store" / name / "1", folder, own, 1)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    store = make_store(tmp_path_factory.mktemp("store"))
    for name in ("things", "objects"):
        add_companion(store / name / "1")
    made = make_engine(store)
    yield made
    made.close()


def grey(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (120, 80), (value,) * 3).save(file, "PNG")
    return file.getvalue()


def ask(engine: Engine, contents: list, **parameters: object) -> Answer:
    policy = RequestPolicy(Deadline.after(60))
    chosen = ClassifyParameters(**{"model": "things", **parameters})
    return asyncio.run(engine.answer("classification", contents, chosen, policy))


def detect(engine: Engine, content: bytes, **parameters: object) -> Answer:
    policy = RequestPolicy(Deadline.after(60))
    chosen = DetectParameters(**{"model": "objects", **parameters})
    return asyncio.run(engine.answer("detection", [content], chosen, policy))


def observed(engine: Engine, model: str) -> float:
    text = engine._metrics.render()[0].decode()
    lines = [
        x for x in text.splitlines() if x.startswith(f'boxport_novelty_count{{model="{model}"}}')
    ]
    return float(lines[0].split()[-1]) if lines else 0


def test_an_answer_has_it_if_asked_and_metrics_always(engine: Engine) -> None:
    before = observed(engine, "things")
    plain = ask(engine, [grey(51), grey(255)])
    assert all("novelty" not in result for result in plain.results)
    assert observed(engine, "things") == before + 2
    told = ask(engine, [grey(51), grey(255), b"no image"], novelty=True)
    *good, bad = told.results
    assert [result["novelty"] for result in good] == pytest.approx([0.2, 1], abs=0.01)
    assert isinstance(bad, Problem)
    assert observed(engine, "things") == before + 4
    for result, other in zip(good, plain.results, strict=True):
        assert result["classifications"] == other["classifications"]


def test_of_two_stages_it_is_the_photos_own(engine: Engine, cat: bytes) -> None:
    alone = detect(engine, cat, novelty=True).results[0]["novelty"]
    assert 0 < alone < 1
    things = observed(engine, "things")
    found = detect(engine, cat, novelty=True, then="things").results[0]
    assert found["detections"]
    assert found["novelty"] == pytest.approx(alone, abs=0.01)
    assert observed(engine, "things") == things  # a crop is no photo


def test_regions_have_none(engine: Engine, cat: bytes) -> None:
    before = observed(engine, "things")
    ask(engine, [cat], regions=[[10.0, 10.0, 90.0, 90.0]])
    assert observed(engine, "things") == before
    with pytest.raises(Problem, match="is of whole photos"):
        ask(engine, [cat], regions=[[10.0, 10.0, 90.0, 90.0]], novelty=True)


def test_the_description_names_the_companion(engine: Engine) -> None:
    status = describe(engine.repository.find("things"), engine)["status"]
    assert status["companion"] == {
        **{"name": "things.novelty", "version": "1", "measure": "mahalanobis", "auroc": 0.9}
    }
    assert {one.reference for one in engine.repository.versions} == {
        ("things", "1"),
        ("objects", "1"),
    }


def test_as_a_tensor(engine: Engine) -> None:
    told = ask(engine, [grey(51), grey(255)], novelty=True)
    tensor = make_output("novelty", Predictions.of(told))
    assert (tensor.datatype, list(tensor.shape)) == ("FP32", [2])
    assert np.array(tensor.to_json()) == pytest.approx([0.2, 1], abs=0.01)


def test_a_companion_that_fails_costs_no_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine.repository.find("things").model
    monkeypatch.setattr(model.companion, "_package", None)
    before = observed(engine, "things")
    (result,) = ask(engine, [grey(51)], novelty=True).results
    assert result["classifications"]
    assert result["novelty"] is None
    assert observed(engine, "things") == before


def test_companions_come_break_and_go_while_the_service_runs(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    engine = make_engine(store)
    try:
        with pytest.raises(Problem, match="has no companion"):
            ask(engine, [grey(51)], novelty=True)
        add_companion(store / "things" / "1")
        look(engine)
        (result,) = ask(engine, [grey(51)], novelty=True).results
        assert result["novelty"] == pytest.approx(0.2, abs=0.01)
        graph = companion_of(store / "things" / "1") / "model.onnx"
        graph.write_bytes(graph.read_bytes()[:-1] + b"?")
        look(engine)
        status = describe(engine.repository.find("things"), engine)["status"]
        assert "sha256" in status["companion"]["reason"]
        assert ask(engine, [grey(51)]).results[0]["classifications"]
        shutil.rmtree(graph.parent.parent)
        look(engine)
        assert "companion" not in describe(engine.repository.find("things"), engine)["status"]
    finally:
        engine.close()


def look(engine: Engine) -> None:
    """Twice, as a package is opened once it has settled."""
    for _ in range(2):
        engine._watcher.look()
