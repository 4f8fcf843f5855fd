"""A manifest that says something else than its graph shows, or than can be, is refused at load."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from service.package import PackageError, verify_package
from tests.packages import CLASSIFIER, edit_manifest

DETECTOR = "efficientdet_lite0_voc"
Edit = Callable[[dict[str, Any]], None]


def put(value: object, *path: str | int) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        place: Any = manifest
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return edit


def repeat_id(manifest: dict[str, Any]) -> None:
    manifest["labels"][1]["id"] = manifest["labels"][0]["id"]


def add_label(manifest: dict[str, Any]) -> None:
    manifest["labels"].append({"id": 1099, "name": "extra"})


def to_other_size(manifest: dict[str, Any]) -> None:
    manifest["input"].update(height=640, width=640)


def to_huge_size(manifest: dict[str, Any]) -> None:
    """Consistent with itself."""
    manifest["input"].update(height=10**6, width=10**6)
    manifest["inputs"][0].update(shape=["N", 10**6, 10**6, 3])


def of_version_2(**fields: object) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["schema_version"] = 2
        manifest["parity"]["reference"] = "foreign_onnx"
        manifest["input"].update(fields)

    return edit


FALSE: list[tuple[str, str, Edit, str]] = [
    ("a label more", DETECTOR, add_label, "number of labels is 20, the manifest says 21"),
    ("five labels", DETECTOR, lambda m: m.update(labels=m["labels"][:5]), "which is no label"),
    ("a repeated id", DETECTOR, repeat_id, "two labels are called 1"),
    ("another size", DETECTOR, to_other_size, "input is 640 x 640, inputs say"),
    ("another mean", DETECTOR, put([0, 0, 0], "input", "mean"), "graph's mean is 0.5, 0.5, 0.5"),
    ("another std", DETECTOR, put([0.5, 0.5, 0.6], "input", "std"), "graph's std is 0.5"),
    ("BGR", DETECTOR, of_version_2(channel_order="bgr"), "channel order is rgb, the manifest says"),
    ("grey levels", DETECTOR, of_version_2(scale=1.0), "mean is 127.5, 127.5, 127.5, the manifest"),
    ("no spread", DETECTOR, put([0, 1, 1], "input", "std"), "input.std.0: .*greater than 0"),
    ("int8", DETECTOR, put("int8", "precision"), "precision is fp32, the manifest says int8"),
    ("many detections", DETECTOR, put(10**12, "defaults", "max_detections"), "max_detections"),
    ("accuracy 7", DETECTOR, put(7, "accuracy", "metrics", "ap"), "accuracy.metrics.ap"),
    ("accuracy of none", DETECTOR, put({"unicorn": 1}, "accuracy", "classes"), "'unicorn'"),
    ("failed parity", DETECTOR, put(0, "parity", "agreeing"), "fewer answers agree"),
    ("a difference < 0", DETECTOR, put(-1, "parity", "max_score_difference"), "parity.max_score"),
    ("batches of none", DETECTOR, put([0], "parity", "batch_sizes"), "parity.batch_sizes"),
    (
        "seven thousand channels",
        DETECTOR,
        put([0] * 7000, "input", "mean"),
        "input.mean: .*at most 3",
    ),
    ("a huge input", DETECTOR, to_huge_size, "input.height: .*less than or equal to 8192"),
    ("an id of 100 digits", DETECTOR, put(10**99, "labels", 0, "id"), "labels.0.id: "),
    ("a threshold as text", DETECTOR, put("0.3", "defaults", "score_threshold"), "valid number"),
    ("true for 1", DETECTOR, put(True, "defaults", "max_detections"), "valid integer"),
    ("no number", DETECTOR, put(float("nan"), "accuracy", "metrics", "ap"), "accuracy.metrics.ap"),
    ("an output without sides", CLASSIFIER, put([], "outputs", 0, "shape"), "of None classes"),
    ("a blank licence", DETECTOR, put(" ", "provenance", "licence"), "provenance.licence"),
    ("no sha256", DETECTOR, put("?", "provenance", "weights_sha256"), "weights_sha256"),
    ("sigmoid", CLASSIFIER, put("sigmoid", "activation"), "activation is softmax, the manifest"),
    ("top 5000", CLASSIFIER, put(5000, "defaults", "top_k"), "top_k is 5000, and there are 1000"),
    ("a small side", CLASSIFIER, put(100, "input", "shorter_side"), "less than the crop's"),
    ("a class less", CLASSIFIER, lambda m: m["labels"].pop(), "999 labels, and outputs of 1000"),
    ("an id twice", CLASSIFIER, repeat_id, "two labels have the id 0"),
]


@pytest.mark.parametrize(
    ("name", "edit", "words"), [row[1:] for row in FALSE], ids=[row[0] for row in FALSE]
)
def test_false_manifest_is_refused(
    store: Path, tmp_path: Path, name: str, edit: Edit, words: str
) -> None:
    package = shutil.copytree(store / name / "1", tmp_path / name / "1")
    edit_manifest(package, edit)
    with pytest.raises(PackageError, match=words) as caught:
        verify_package(package)
    assert "\n" not in str(caught.value)


def test_graph_that_shows_less_is_not_refused(store: Path, tmp_path: Path) -> None:
    """Another tool names its constants otherwise, and leaves no shapes."""
    package = shutil.copytree(store / DETECTOR / "1", tmp_path / DETECTOR / "1")
    model = onnx.load(package / "model.onnx")
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("normalise.", "other.")
    for node in model.graph.node:
        node.input[:] = [name.replace("normalise.", "other.") for name in node.input]
    content = model.SerializeToString()
    (package / "model.onnx").write_bytes(content)
    edit_manifest(package, put(hashlib.sha256(content).hexdigest(), "sha256"))
    assert verify_package(package).task == "detection"
