"""OpenVINO gives the answers of ONNX Runtime, to every thread its own."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from service.providers import OPENVINO, has_bf16
from service.runtime.openvino_session import OpenVinoSession
from tests.packages import CLASSIFIER
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(not OPENVINO.is_available, reason="openvino is not installed")

CAT = ROOT / "docs/photos/cat.jpg"
DETECTOR = "efficientdet_lite0_voc"
THRESHOLDS = {
    "score_threshold": np.array(0.05, np.float32),
    "iou_threshold": np.array(0.5, np.float32),
    "max_detections": np.array(100),
    "class_agnostic": np.array(False),
}


def photos(number: int, side: int) -> np.ndarray[Any, Any]:
    """Smooth ones."""
    x = np.linspace(0, 3, side)
    waves = [np.sin(np.add.outer(x * (k + 1), x)) for k in range(3 * number)]
    pixels = np.stack(waves).reshape(number, 3, side, side).transpose(0, 2, 3, 1)
    return np.uint8(127 * (pixels + 1))


def opened(store: Path, name: str, **options: Any) -> tuple[ort.InferenceSession, OpenVinoSession]:
    graph = store / name / "1" / "model.onnx"
    plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return plain, OpenVinoSession(graph, **{"runs": 2, "threads": 1, "bf16": False, **options})


@pytest.mark.parametrize("batches", [(), (1, 2)])
def test_a_classifier_has_the_same_probabilities(store: Path, batches: tuple[int, ...]) -> None:
    plain, session = opened(store, CLASSIFIER, batches=batches)
    for number in (1, 2):
        feeds = {"images": photos(number, 224)}
        (expected,) = plain.run(["probabilities"], feeds)
        (found,) = session.run(["probabilities"], feeds)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_detector_has_the_same_boxes(store: Path) -> None:
    plain, session = opened(store, DETECTOR, batches=(1,))
    names = ["num_detections", "boxes", "scores", "labels"]
    photo = Image.open(CAT).convert("RGB").resize((320, 320))
    feeds = {"images": np.asarray(photo)[None], **THRESHOLDS}
    numbers, boxes, scores, labels = session.run(names, feeds)
    expected = plain.run(names, feeds)
    assert numbers == expected[0]
    assert scores[0, 0] > 0.5
    np.testing.assert_allclose(boxes, expected[1], atol=0.01)
    np.testing.assert_allclose(scores, expected[2], atol=1e-4)
    np.testing.assert_array_equal(labels, expected[3])


def test_inputs_and_outputs_are_the_graphs(store: Path) -> None:
    plain, session = opened(store, DETECTOR)
    for own, other in (
        (session.get_inputs(), plain.get_inputs()),
        (session.get_outputs(), plain.get_outputs()),
    ):
        assert [(port.name, port.type) for port in own] == [(t.name, t.type) for t in other]
        shapes = [[s if isinstance(s, int) else None for s in t.shape] for t in other]
        assert [port.shape for port in own] == shapes


def test_threads_have_answers_of_their_own(store: Path) -> None:
    """Four ask at once, of two that run; and what was answered is not written over."""
    plain, session = opened(store, CLASSIFIER)
    images = photos(4, 224)

    def run(place: int) -> list[np.ndarray[Any, Any]]:
        one = {"images": images[place : place + 1]}
        return [session.run(["probabilities"], one)[0] for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(run, range(4)))
    for place, found in enumerate(answers):
        (expected,) = plain.run(["probabilities"], {"images": images[place : place + 1]})
        for one in found:
            np.testing.assert_allclose(one, expected, atol=1e-5)


@pytest.mark.skipif(not has_bf16(), reason="the processor has no bfloat16")
def test_bfloat16_rounds(store: Path) -> None:
    plain, session = opened(store, CLASSIFIER, bf16=True, batches=(1,))
    feeds = {"images": photos(1, 224)}
    (expected,) = plain.run(["probabilities"], feeds)
    (found,) = session.run(["probabilities"], feeds)
    difference = np.abs(found - expected).max()
    assert 1e-6 < difference < 0.05


def test_a_run_is_its_callers(store: Path) -> None:
    """Who is pinned to a processor has its run there, and not on some thread of OpenVINO's."""
    _, session = opened(store, CLASSIFIER, batches=(1,))
    feeds = {"images": photos(1, 224)}
    session.run(["probabilities"], feeds)
    own, everybody = time.thread_time(), time.process_time()
    for _ in range(5):
        session.run(["probabilities"], feeds)
    own, everybody = time.thread_time() - own, time.process_time() - everybody
    assert own > 0.5 * everybody
