"""Loading a package: warmed and laid out as the settings say, or refused."""

import hashlib
import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from service import providers
from service.package import PackageError
from service.providers import OPENVINO, ProviderError, has_bf16
from service.repository import loader
from service.repository.loader import batch_sizes, load_model
from service.settings import Settings
from tests.packages import CLASSIFIER, copy_package
from tests.service.models import SHARED

on_openvino = pytest.mark.skipif(not OPENVINO.is_available, reason="openvino is not installed")
on_bf16 = pytest.mark.skipif(not has_bf16(), reason="the processor has no bfloat16")


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_batch_sizes_are_powers_of_two_and_the_largest(largest: int, sizes: tuple) -> None:
    assert batch_sizes(largest) == sizes


def test_a_shipped_package_is_served_warm(store: Path) -> None:
    sizes: list[int] = []
    settings = Settings(max_batch_size=3, concurrent_runs=2, threads=1)
    shared = replace(SHARED, on_batch=lambda name, size: sizes.append(size))
    others = set(threading.enumerate())
    model = load_model(store / CLASSIFIER / "1", settings, shared)
    layout = model.layout
    assert (model.provider, layout.threads, layout.concurrent_runs) == ("cpu", 1, 2)
    assert layout.max_batch_size == 3
    assert sizes == [], "warming up is no batch of a request"
    names = {thread.name for thread in set(threading.enumerate()) - others}
    assert {f"{CLASSIFIER}-0", f"{CLASSIFIER}-1"} <= names
    model.close()
    assert not {t.name for t in set(threading.enumerate()) - others} & names


@on_openvino
@pytest.mark.parametrize(
    ("precision", "shown"), [("as_exported", "fp32"), pytest.param("bf16", "bf16", marks=on_bf16)]
)
def test_a_package_runs_by_openvino(precision: str, shown: str, store: Path) -> None:
    settings = Settings(runtime="openvino", precision=precision)
    model = load_model(store / CLASSIFIER / "1", settings, SHARED)
    model.close()
    assert (model.provider, model.precision) == ("openvino", shown)
    graph_bytes = (store / CLASSIFIER / "1" / "model.onnx").stat().st_size
    assert model.session_bytes == int(1.5 * model.layout.concurrent_runs * graph_bytes)
    assert model.layout.max_batch_size == 1


@on_openvino
@on_bf16
@pytest.mark.parametrize(
    ("least", "chosen"), [(0.0, ("openvino", "bf16")), (math.inf, ("cpu", "fp32"))]
)
def test_auto_takes_bfloat16_if_it_gains_enough(
    least: float, chosen: tuple[str, str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "BF16_MIN_GAIN", least)
    model = load_model(store / CLASSIFIER / "1", Settings(runtime="auto"), SHARED)
    model.close()
    assert (model.provider, model.precision) == chosen


def test_auto_stays_with_onnx_runtime_where_there_is_no_bfloat16(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "has_bf16", lambda: False)
    model = load_model(store / CLASSIFIER / "1", Settings(runtime="auto"), SHARED)
    model.close()
    assert (model.provider, model.precision) == ("cpu", "fp32")


def test_a_second_session_can_be_spared(store: Path) -> None:
    settings = Settings(threads=1, latency_threads=1)
    model = load_model(store / CLASSIFIER / "1", settings, SHARED)
    model.close()
    assert model.predictor._package.latency_session is None


def test_a_models_memory_is_counted_by_its_graph(store: Path) -> None:
    """And not by what the process grows by meanwhile, which may be anybody's."""
    counted = []
    for settings in (Settings(), Settings(max_batch_size=8, latency_threads=1)):
        held: list[bytearray] = []

        def hold_photos(done: threading.Event, held: list[bytearray] = held) -> None:
            while not done.is_set():
                held.append(bytearray(b"1") * 5_000_000)
                done.wait(0.01)

        done = threading.Event()
        others = threading.Thread(target=hold_photos, args=(done,))
        others.start()
        model = load_model(store / CLASSIFIER / "1", settings, SHARED)
        done.set()
        others.join()
        model.close()
        counted.append(model.session_bytes)
    assert counted == [int(1.5 * (store / CLASSIFIER / "1" / "model.onnx").stat().st_size)] * 2


def test_settings_of_one_model_are_its_own(store: Path) -> None:
    settings = Settings(max_batch_size=3, models={CLASSIFIER: {"max_batch_size": 5}})
    model = load_model(store / CLASSIFIER / "1", settings, SHARED)
    model.close()
    assert model.layout.max_batch_size == 5


def test_a_provider_that_is_not_there_is_refused_or_passed_over(store: Path) -> None:
    folder = store / CLASSIFIER / "1"
    wish = {"execution_providers": ("tensorrt", "cuda"), "concurrent_runs": 1}
    with pytest.raises(ProviderError, match=r"tensorrt: this ONNX Runtime .* has no Tensorrt"):
        load_model(folder, Settings(**wish), SHARED)
    model = load_model(folder, Settings(**wish, allow_fallback=True), SHARED)
    model.close()
    assert model.provider == "cpu"


def test_a_graph_that_loads_and_cannot_run_is_refused(store: Path, tmp_path: Path) -> None:
    folder = copy_package(store / CLASSIFIER / "1", tmp_path, "pets", 1)
    write_graph_that_fails(folder)
    with pytest.raises(PackageError, match=r"pets/1: cannot be run: ") as caught:
        load_model(folder, Settings(concurrent_runs=1), SHARED)
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
