"""Buffers that are used again, in the memory of the one device that is always there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.package import ModelPackage, open_package
from service.runtime.bound_session import BoundSession, GraphCaptureError
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
