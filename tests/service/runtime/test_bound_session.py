"""Buffers that are used again, in the memory of the one device that is always there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from service.manifest import Tensor
from service.package import ModelPackage, open_package
from service.runtime.bound_session import MAX_SHAPES, BoundSession, GraphCaptureError
from tests.service.feeds import feeds_for

CLASSIFIER = "efficientnet_lite0_imagenet"
DETECTOR = "efficientdet_lite0_voc"


def bound(package: ModelPackage) -> BoundSession:
    return BoundSession(package.session, package.manifest.outputs, "cpu")


def images_for(package: ModelPackage, number: int, seed: int = 0) -> np.ndarray:
    size = package.manifest.input
    shape = (number, size.height, size.width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def assert_same(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.fixture(scope="module", params=[CLASSIFIER, DETECTOR])
def package(store: Path, request: pytest.FixtureRequest) -> ModelPackage:
    return open_package(store / request.param / "1")


def test_each_run_has_its_own_answer_whatever_ran_before(package: ModelPackage) -> None:
    """Batch sizes and numbers of detections go up and down: nothing of the last run is left."""
    session = bound(package)
    for turn, (number, limit) in enumerate([(2, 7), (1, 100), (2, 100), (2, 3), (1, 2)]):
        feeds = feeds_for(package, images_for(package, number, seed=turn), limit)
        assert_same(session.run(feeds), package.run(feeds))


def test_an_answer_outlives_the_next_run(package: ModelPackage) -> None:
    session = bound(package)
    first = feeds_for(package, images_for(package, 1, seed=1))
    kept = session.run(first)
    session.run(feeds_for(package, images_for(package, 1, seed=2)))
    assert_same(kept, package.run(first))


def test_buffers_are_made_once_for_runs_in_turn(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bound(package)
    made = []
    allocate = session._allocate
    monkeypatch.setattr(session, "_allocate", lambda *a: made.append(a) or allocate(*a))
    for seed in range(5):
        session.run(feeds_for(package, images_for(package, 1, seed)))
    assert len(made) == 2, "the images, and probabilities or num_detections"


def any_size() -> BoundSession:
    """Of a graph that takes images of any size, and gives their mean."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0, axes=[1, 2, 3]),
        ],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return BoundSession(session, [Tensor(name="mean", dtype="float", shape=("N",))], "cpu")


def test_only_the_shapes_that_came_last_keep_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    session = any_size()
    made = []
    allocate = session._allocate
    monkeypatch.setattr(session, "_allocate", lambda *a: made.append(a) or allocate(*a))
    for size in range(1, 5 * MAX_SHAPES):
        for side in (size, 1):  # which comes again and again
            images = np.full((1, side, 8, 3), side, np.uint8)
            assert session.run({"images": images})["mean"] == [side]
    assert len(session._free) == MAX_SHAPES
    assert list(session._free)[-1] == (1, 1, 8, 3)
    shapes = [tuple(shape) for shape, _ in made if len(shape) == 4]
    assert shapes.count((1, 1, 8, 3)) == 1
    assert len(shapes) == len(set(shapes))


def test_the_graph_of_a_shape_goes_with_its_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    session = any_size()
    session._capture = True  # which the CPU passes over
    released = []
    monkeypatch.setattr(session._session, "release_captured_graph", released.append)
    for size in range(1, MAX_SHAPES + 4):
        session.run({"images": np.zeros((1, size, 8, 3), np.uint8)})
    assert released == [1, 2, 3]


def test_runs_at_once_do_not_share_buffers(package: ModelPackage) -> None:
    session = bound(package)
    feeds = [feeds_for(package, images_for(package, 1, seed)) for seed in range(8)]
    expected = [package.run(one) for one in feeds]
    start = threading.Barrier(4)

    def work(lane: int) -> None:
        start.wait()
        for i in range(lane, 8, 4):
            assert_same(session.run(feeds[i]), expected[i])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, lane) for lane in range(4)]:
            done.result()


def test_no_cuda_graph_is_recorded_of_outputs_that_vary(store: Path) -> None:
    package = open_package(store / DETECTOR / "1")
    with pytest.raises(GraphCaptureError, match=r"boxes, scores, labels vary; leave cuda_graphs"):
        BoundSession(package.session, package.manifest.outputs, "cpu", capture=True)
