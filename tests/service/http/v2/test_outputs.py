"""Rows as tensors."""

from pathlib import Path

import numpy as np
import pytest

from service.engine.answer import Answer
from service.http.v2.metadata import ANY, outputs_of
from service.http.v2.outputs import Predictions, make_output, rows_of
from service.manifest import Label, ModelManifest, Tensor, read_manifest
from service.problems import Problem


@pytest.fixture(scope="module")
def detector(store: Path) -> ModelManifest:
    return read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json")


@pytest.fixture(scope="module")
def classifier(store: Path) -> ModelManifest:
    manifest = read_manifest(store / "efficientnet_lite0_imagenet" / "1" / "manifest.json")
    # two birds and machines of one name, as in ImageNet
    labels = (Label(id=5, name="crane"), Label(id=7, name="crane"), Label(id=6, name="gull"))
    return manifest.model_copy(update={"labels": labels})


def row(label_id: int, label: str, score: float, *box: float) -> dict:
    found = {"score": score, "label": label, "label_id": label_id}
    return {"box": list(box), **found} if box else found


def test_detections_are_filled_up_to_the_most_that_one_image_has(detector: ModelManifest) -> None:
    rows = [
        [],
        [row(8, "cat", 0.9, 1, 2, 3, 4), row(1, "aeroplane", 0.5, 5, 6, 7, 8.125)],
        [row(20, "tvmonitor", 0.25, 0, 0, 1, 1)],
    ]
    found = Predictions(detector, [(640, 427), (10, 20), (30, 40)], rows)
    outputs = {
        name: make_output(name, found)
        for name in ("num_detections", "boxes", "scores", "labels", "sizes", "label_names")
    }
    values = {name: output.values.tolist() for name, output in outputs.items()}
    assert values["num_detections"] == [0, 2, 1]
    assert values["boxes"][0] == [[0] * 4] * 2
    assert values["boxes"][1] == [[1, 2, 3, 4], [5, 6, 7, 8.125]]
    assert values["scores"][1:] == [[np.float32(0.9), 0.5], [0.25, 0]]
    assert values["labels"] == [[-1, -1], [7, 0], [19, -1]]
    assert values["label_names"] == [["", ""], ["cat", "aeroplane"], ["tvmonitor", ""]]
    assert values["sizes"] == [[640, 427], [10, 20], [30, 40]]
    assert outputs["labels"].datatype == "INT64"


def test_contours_are_an_output_of_models_that_find_them(detector: ModelManifest) -> None:
    contours = Tensor(name="contours", dtype="float", shape=("N", "K", 3, 2))
    outlined = detector.model_copy(update={"outputs": (*detector.outputs, contours)})
    assert "contours" not in rows_of(detector, None)
    assert not rows_of(outlined, None)["contours"].default
    assert outputs_of(outlined)["contours"].shape == (ANY, ANY, 3, 2)
    triangle = [[1, 2], [3, 4], [5.5, 6]]
    rows = [
        [{**row(8, "cat", 0.9, 1, 2, 3, 4), "contour": triangle}, row(8, "cat", 0.5, 1, 2, 3, 4)],
        [],
    ]
    found = make_output("contours", Predictions(outlined, [(9, 9)] * 2, rows))
    assert found.datatype == "FP32"
    assert found.values.tolist() == [[triangle, [[0, 0]] * 3], [[[0, 0]] * 3] * 2]
    empty = make_output("contours", Predictions(outlined, [(9, 9)], [[]]))
    assert empty.shape == (1, 0, 3, 2)


def test_nothing_found(detector: ModelManifest) -> None:
    found = Predictions(detector, [(1, 1), (1, 1)], [[], []])
    assert make_output("boxes", found).shape == (2, 0, 4)
    assert make_output("labels", found).to_bytes() == b""
    assert make_output("label_names", found).to_json() == []


def test_probabilities_are_in_the_labels_order(classifier: ModelManifest) -> None:
    rows = [
        [row(7, "crane", 0.5), row(6, "gull", 0.375), row(5, "crane", 0.125)],
        [row(5, "crane", 0.75), row(7, "crane", 0.25), row(6, "gull", 0.0)],
    ]
    found = Predictions(classifier, [(1, 1), (1, 1)], rows, max_rows=2)
    assert make_output("probabilities", found).values.tolist() == [
        [0.125, 0.5, 0.375],
        [0.75, 0.25, 0],
    ]
    assert make_output("labels", found).values.tolist() == [[1, 2], [0, 1]]
    assert make_output("scores", found).values.tolist() == [[0.5, 0.375], [0.75, 0.25]]
    assert make_output("label_names", found).to_json() == ["crane", "gull", "crane", "crane"]


def test_one_bad_image_is_the_whole_requests_problem(detector: ModelManifest) -> None:
    good = {"width": 1, "height": 2, "detections": []}
    bad = Problem("overloaded", "Full.", retry_after=7)
    assert Predictions.of(Answer(detector, [good], [], 0)).sizes == [(1, 2)]
    with pytest.raises(Problem, match=r"^image\[1\]: Full\.$") as caught:
        Predictions.of(Answer(detector, [good, bad], [], 0))
    assert (caught.value.code, caught.value.retry_after) == ("overloaded", 7)
    with pytest.raises(Problem, match=r"^Full\.$"):
        Predictions.of(Answer(detector, [bad], [], 0))


def test_classes_of_detections_are_filled_up(
    detector: ModelManifest, classifier: ModelManifest
) -> None:
    two = [row(7, "crane", 0.75), row(6, "gull", 0.25)]
    rows = [
        [
            {**row(8, "cat", 0.9, 1, 2, 3, 4), "classifications": two},
            {**row(1, "aeroplane", 0.5, 5, 6, 7, 8), "classifications": two[:1]},
        ],
        [],
    ]
    found = Predictions(detector, [(9, 9), (9, 9)], rows, then=classifier)
    names = ("boxes", "class_labels", "class_scores", "class_label_names")
    values = {name: make_output(name, found).values.tolist() for name in names}
    assert values["class_labels"] == [[[1, 2], [1, -1]], [[-1, -1], [-1, -1]]]
    assert values["class_scores"] == [[[0.75, 0.25], [0.75, 0]], [[0, 0], [0, 0]]]
    assert values["class_label_names"] == [[["crane", "gull"], ["crane", ""]], [["", ""]] * 2]
    assert values["boxes"][1] == [[0] * 4] * 2


def test_no_detection_has_no_classes(detector: ModelManifest, classifier: ModelManifest) -> None:
    found = Predictions(detector, [(1, 1)], [[]], then=classifier)
    assert make_output("class_labels", found).shape == (1, 0, 0)
