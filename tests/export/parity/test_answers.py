"""What a graph's answers must be without a reference, and settings that it must obey."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.parity.answers import AnswerError, check_answer, check_batch, check_settings
from service.imaging.files import read_photo
from service.package import ModelPackage, open_package


class Spoiled:
    """A package whose answers are spoiled on their way out."""

    def __init__(self, package: ModelPackage, spoil: Callable[[dict], None]) -> None:
        self.manifest, self._package, self._spoil = package.manifest, package, spoil

    def run(self, feeds: dict) -> dict:
        outputs = {name: value.copy() for name, value in self._package.run(feeds).items()}
        self._spoil(outputs | {"feeds": feeds} | {"out": outputs})
        return outputs


@pytest.fixture(scope="module")
def detector(store: Path) -> ModelPackage:
    return open_package(store / "efficientdet_lite0_voc" / "1")


@pytest.fixture(scope="module")
def image(detector: ModelPackage, photos: Path) -> np.ndarray:
    return read_photo(photos / "astronaut.jpg", detector.manifest.input).pixels


def set_value(name: str, place: tuple[int, ...], value: float) -> Callable[[dict], None]:
    def spoil(outputs: dict) -> None:
        outputs[name][place] = value

    return spoil


def narrow(outputs: dict) -> None:
    outputs["out"]["scores"] = outputs["scores"].astype(np.float64)


def flatten(outputs: dict) -> None:
    outputs["out"]["boxes"] = outputs["boxes"][:, :, :2]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (set_value("scores", (0, 1), 0.99), "scores do not descend"),
        (set_value("scores", (0, 0), np.nan), "scores holds values that are not finite"),
        (set_value("scores", (0, 0), 1.5), "a score is not in 0..1"),
        (set_value("boxes", (0, 0, 2), 321.0), "reaches beyond the input"),
        (set_value("boxes", (0, 0, 0), -1.0), "reaches beyond the input"),
        (set_value("boxes", (0, 0, 2), 0.0), "ends before it begins"),
        (set_value("labels", (0, 0), 20), "a label is none of the manifest's"),
        (set_value("labels", (0, 0), -1), "a label is none of the manifest's"),
        (set_value("num_detections", (0,), 5), "past num_detections are not 0"),
        (set_value("num_detections", (0,), 1000), "num_detections is 1000"),
        (narrow, "scores is float64"),
        (flatten, "boxes has the shape"),
    ],
)
def test_answers_against_the_contract_are_caught(
    detector: ModelPackage, image: np.ndarray, spoil: Callable[[dict], None], words: str
) -> None:
    assert check_answer(detector, image) > 5
    with pytest.raises(AnswerError, match=words):
        check_answer(Spoiled(detector, spoil), image)


@pytest.mark.parametrize(
    ("name", "heard", "photo", "words"),
    [
        ("score_threshold", lambda _: 0.0, "cat", "passes the threshold"),
        ("score_threshold", lambda _: 0.021, "cat", "score_threshold"),
        ("score_threshold", lambda _: 0.9, "cat", "score_threshold 0 finds no more"),
        ("max_detections", lambda _: 100, "astronaut", "no answer has more than 100 detections"),
        ("max_detections", lambda n: max(n, 2), "cat", "2 detections, max_detections is 1"),
        ("iou_threshold", lambda _: 0.9, "astronaut", "NMS with it leaves"),
        ("iou_threshold", lambda iou: min(iou, 0.98), "cat", "iou_threshold 1 suppresses"),
        ("iou_threshold", lambda iou: max(iou, 0.2), "astronaut", "iou_threshold 0.0 leaves"),
        ("class_agnostic", lambda _: False, "astronaut", "NMS with it leaves"),
    ],
)
def test_settings_that_are_not_obeyed_are_caught(
    detector: ModelPackage,
    photos: Path,
    name: str,
    heard: Callable[[float], float],
    photo: str,
    words: str,
) -> None:
    """The graph is told another value than the one that it is checked for."""
    image = read_photo(photos / f"{photo}.jpg", detector.manifest.input).pixels

    class Deaf(Spoiled):
        def run(self, feeds: dict) -> dict:
            value = np.array(heard(feeds[name].item()), dtype=feeds[name].dtype)
            return detector.run({**feeds, name: value})

    check_settings(detector, image)
    with pytest.raises(AnswerError, match=words):
        check_settings(Deaf(detector, lambda _: None), image)


def test_answer_that_depends_on_its_batch_is_caught(
    detector: ModelPackage, image: np.ndarray
) -> None:
    def spoil(outputs: dict) -> None:
        if len(outputs["scores"]) > 1:
            outputs["scores"][1] *= 0.9

    check_batch(detector, [image] * 3)
    with pytest.raises(AnswerError, match="image 1 of a batch of 3"):
        check_batch(Spoiled(detector, spoil), [image] * 3)
