"""Both kinds of session of a model give one answer, and have its weights once."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import psutil
import pytest

from service.providers import PROVIDERS
from service.runtime import sessions
from service.runtime.memory import trim_memory
from service.runtime.optimized_graph import ALIGNMENT, IN_MEMORY
from service.runtime.sessions import Device, open_sessions
from tests.packages import CLASSIFIER

BOTH = Device(threads=1, latency_threads=2)
on_linux = pytest.mark.skipif(not IN_MEMORY, reason="sessions share weights on Linux")


@pytest.fixture(scope="module")
def graph(store: Path) -> Path:
    return store / CLASSIFIER / "1" / "model.onnx"


@pytest.fixture(scope="module")
def images() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), dtype=np.uint8)


def test_both_answer_as_a_session_of_the_file(graph: Path, images: np.ndarray[Any, Any]) -> None:
    opened = open_sessions(graph, BOTH)
    plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (expected,) = plain.run(None, {"images": images})
    assert opened.latency is not None
    for session in (opened.throughput, opened.latency):
        (found,) = session.run(None, {"images": images})
        np.testing.assert_array_equal(found, expected)
        assert [tensor.shape for tensor in session.get_inputs()] == [["N", 224, 224, 3]]
    assert opened.throughput.get_session_options().intra_op_num_threads == 1
    assert opened.latency.get_session_options().intra_op_num_threads == 2


@on_linux
def test_weights_lie_in_memory_once_and_well(graph: Path) -> None:
    opened = open_sessions(graph, BOTH)
    sizes = [value.numpy().nbytes for value in opened.weights]
    assert sum(sizes) > 0.9 * graph.stat().st_size
    assert {value.data_ptr() % ALIGNMENT for value in opened.weights} == {0}


@on_linux
def test_two_sessions_take_less_than_two_copies_of_the_weights(graph: Path) -> None:
    """Once the weights and twice what else a session is: 1.7 of the file; two copies make 2.1."""
    kept = [open_sessions(graph, BOTH)]  # what is taken once by the process
    trim_memory()
    before = psutil.Process().memory_info().rss
    kept += [open_sessions(graph, BOTH) for _ in range(4)]
    trim_memory()
    grown = (psutil.Process().memory_info().rss - before) / 4
    assert grown < 1.8 * graph.stat().st_size


def test_one_is_enough_where_the_other_would_be_the_same(graph: Path) -> None:
    for device in (Device(threads=2), Device(threads=2, latency_threads=2)):
        opened = open_sessions(graph, device)
        assert (opened.latency, opened.weights) == (None, ())


def test_without_files_in_memory_each_has_weights_of_its_own(
    graph: Path, images: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "IN_MEMORY", False)
    opened = open_sessions(graph, BOTH)
    assert opened.latency is not None
    assert opened.weights == ()
    (found,), (expected,) = (
        s.run(None, {"images": images}) for s in (opened.latency, opened.throughput)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_accelerator_has_one(graph: Path) -> None:
    """This ONNX Runtime has none, and leaves it out."""
    opened = open_sessions(graph, Device((PROVIDERS["cuda"],), latency_threads=2))
    assert opened.latency is None


def test_sessions_of_several_processes_map_one_file(
    graph: Path, images: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    """Their own memory stays free of weights, whichever process has optimised the graph."""
    plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (expected,) = plain.run(None, {"images": images})
    for device in (BOTH, Device(threads=1, latency_threads=1)):
        opened = open_sessions(graph, dataclasses.replace(device, weights_folder=tmp_path))
        assert (opened.latency is None) == (device is not BOTH)
        for session in filter(None, (opened.throughput, opened.latency)):
            (found,) = session.run(None, {"images": images})
            np.testing.assert_array_equal(found, expected)
    (made,) = tmp_path.glob("[0-9a-f]*")
    assert opened.weights == (made / "graph.onnx",)
    weights = made / "weights"
    assert weights.stat().st_size > 0.9 * graph.stat().st_size
    mapped = [part for part in psutil.Process().memory_maps() if part.path == str(weights)]
    # but the last matrix, a quarter of them, of which each session packs a copy
    assert sum(part.rss for part in mapped) > 0.7 * graph.stat().st_size


def test_the_oldest_graphs_are_let_go(
    graph: Path, images: np.ndarray[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has opened one goes on with it."""
    monkeypatch.setattr("service.runtime.mapped_graph.KEPT", 1)
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    first = open_sessions(graph, Device(threads=1, weights_folder=tmp_path))
    (made,) = tmp_path.glob("[0-9a-f]*")
    shutil.rmtree(made)
    (found,) = first.throughput.run(None, {"images": images})
    assert np.isfinite(found).all()
