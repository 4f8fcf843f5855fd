"""Manifests are read and written without loss, and state nothing that makes no sense."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.imaging.input_spec import Letterbox
from service.manifest import ManifestError, read_manifest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "model_store").glob("*/*/manifest.json"))
DETECTOR, CLASSIFIER = "efficientdet_lite0_voc", "efficientnet_lite0_imagenet"
CONVERTED = {"package": "x/1", "sha256": "0" * 64}
VARYING = {  # an input
    "resize": "shorter_side",
    "height": 1344,
    "width": 1344,
    "shorter_side": 800,
    "longer_side": 1333,
    "divisor": 32,
}
UNUSED = {"fill": [128, 128, 128], "antialias": True}  # what version 1 states of a crop as well

SINCE_VERSION_2 = {"anchor": "top_left", "channel_order": "rgb", "scale": 1 / 255}  # of an input
RENAMED = (  # since version 0.1: the part that a field is in, its new name and its old one
    (lambda manifest: manifest["parity"]["tolerance"], "matched", "twins"),
    (lambda manifest: manifest["parity"], "ambiguous", "tied"),
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.parent.name)
def test_a_shipped_manifest_survives_reading_and_writing(path: Path, tmp_path: Path) -> None:
    manifest = read_manifest(path)
    manifest.write(tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json") == manifest
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written == manifest.to_json()
    assert written["schema_version"] == 2
    assert written["parity"]["reference"] == "boxport_network"
    written["schema_version"], written["parity"]["reference"] = 1, "PyTorch"
    for field, value in SINCE_VERSION_2.items():
        assert written["input"].pop(field, value) == value
    if manifest.input.resize == "centre_crop":
        written["input"] |= UNUSED
    for part, new, old in RENAMED:
        if new in part(written):
            part(written)[old] = part(written).pop(new)
    assert written == json.loads(path.read_text())


def rewritten(store: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """The shipped detector's manifest, which is of version 1, after ``edit``."""
    content = json.loads((store / DETECTOR / "1" / "manifest.json").read_text())
    edit(content)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("edit", "reference"),
    [
        (lambda m: m.pop("schema_version"), "boxport_network"),
        (lambda m: m["parity"].pop("reference"), "boxport_network"),
        (lambda m: m["provenance"].update(converted=CONVERTED), "float32_package"),
    ],
    ids=["no version", "no reference", "converted"],
)
def test_version_1_says_what_it_was_compared_with(
    store: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], reference: str
) -> None:
    manifest = read_manifest(rewritten(store, tmp_path, edit))
    assert (manifest.schema_version, manifest.parity.reference) == (2, reference)


def as_version_2(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 2
    manifest["parity"]["reference"] = "foreign_onnx"
    manifest["input"].update(anchor="centre", channel_order="bgr", scale=1.0)


def test_version_2_states_what_version_1_cannot(store: Path, tmp_path: Path) -> None:
    manifest = read_manifest(rewritten(store, tmp_path, as_version_2))
    assert manifest.parity.reference == "foreign_onnx"
    assert isinstance(manifest.input, Letterbox)
    stated = manifest.input.anchor, manifest.input.channel_order, manifest.input.scale
    assert stated == ("centre", "bgr", 1.0)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m["input"].update(anchor="top_left"), "input.anchor"),
        (lambda m: m["input"].update(channel_order="bgr"), "input.channel_order"),
        (lambda m: m["input"].update(scale=1.0), "input.scale"),
        (lambda m: m["input"].update(resize="stretch"), "input.resize: stretch"),
        (lambda m: m["parity"].update(reference="user_model"), "parity.reference: user_model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_version_1_that_states_what_is_of_version_2_is_refused(
    store: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], words: str
) -> None:
    path = rewritten(store, tmp_path, edit)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    fault = f"{words} is of schema_version 2, and this manifest is of 1"
    assert str(caught.value) == f"{path}: content: {fault}"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.update(schema_version=3), "schema_version: Input should be 2"),
        (lambda m: m["parity"].update(reference="PyTorch"), "parity.reference: Input should be"),
        (lambda m: m["parity"].pop("reference"), "parity.reference: Field required"),
        (lambda m: m["input"].update(channel_order="grb"), "input.channel_order: Input should be"),
        (lambda m: m["input"].update(scale=0), "input.scale: Input should be greater than 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_version_2_is_held_to_its_words(
    store: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], words: str
) -> None:
    path = rewritten(store, tmp_path, lambda m: (as_version_2(m), edit(m)))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: {words}")


@pytest.mark.parametrize(
    ("model", "edit", "words"),
    [
        (DETECTOR, lambda m: m.pop("task"), "task: Field required"),
        (DETECTOR, lambda m: m.update(task="x"), "task: Input should be one of 'detection', 'c"),
        (DETECTOR, lambda m: m.update(activation="softmax"), "activation: Extra inputs are not"),
        (DETECTOR, lambda m: m.update(defaults={"top_k": 5}), "defaults.score_threshold: Field re"),
        (CLASSIFIER, lambda m: m.pop("activation"), "activation: Field required"),
        (CLASSIFIER, lambda m: m.update(task="detection"), "defaults.score_threshold: Field requ"),
        (DETECTOR, lambda m: m["input"].pop("resize"), "input.resize: Field required"),
        (DETECTOR, lambda m: m["input"].update(resize="x"), "input.resize: Input should be one of"),
        (DETECTOR, lambda m: m["input"].update(shorter_side=9), "input.shorter_side: Extra inputs"),
        (DETECTOR, lambda m: m["input"].update(fill=[0, 0]), "input.fill.2: Field required"),
        (
            DETECTOR,
            lambda m: m["input"].update(interpolation="bicubic", antialias=False),
            "input: Value error, only a bilinear resize can do without antialias",
        ),
        (
            CLASSIFIER,
            lambda m: m["input"].update(divisor=32),
            "input.divisor: Extra inputs",
        ),
        (CLASSIFIER, lambda m: m["input"].update(antialias=False), "input.antialias: Extra inputs"),
        (
            DETECTOR,
            lambda m: m["labels"][1].update(name=m["labels"][0]["name"]),
            "content: Value error, two labels are called 'aeroplane'",
        ),
        (
            DETECTOR,
            lambda m: m["labels"].extend(
                [{"id": 0, "name": "caf\u00e9"}, {"id": 99, "name": "cafe\u0301"}]
            ),
            "content: Value error, two labels are called 'café'",
        ),
        (
            DETECTOR,
            lambda m: m["labels"][1].update(id=m["labels"][0]["id"]),
            "content: Value error, two labels are called 1",
        ),
        (DETECTOR, lambda m: m["inputs"].pop(), "content: Value error, inputs must be images, "),
        (DETECTOR, lambda m: m["labels"][0].pop("id"), "labels.0.id: Field required"),
        (DETECTOR, lambda m: m["labels"][0].update(id=2**53), "labels.0.id: Input should be less"),
        (DETECTOR, lambda m: m["labels"][0].update(id=10**99), "labels.0.id: Input should be less"),
        (DETECTOR, lambda m: m["labels"][0].update(id="1"), "labels.0.id: Input should be a val"),
        (DETECTOR, lambda m: m["labels"][0].update(id=True), "labels.0.id: Input should be a val"),
        (DETECTOR, lambda m: m["labels"][0].update(id=1.0), "labels.0.id: Input should be a val"),
        (DETECTOR, lambda m: m["labels"][0].update(name=1), "labels.0.name: Input should be a v"),
        (
            DETECTOR,
            lambda m: m["defaults"].update(score_threshold="0.3"),
            "defaults.score_threshold: Input should be a valid number",
        ),
        (
            DETECTOR,
            lambda m: m["defaults"].update(iou_threshold=True),
            "defaults.iou_threshold: Input should be a valid number",
        ),
        (
            DETECTOR,
            lambda m: m["defaults"].update(score_threshold=float("nan")),
            "defaults.score_threshold: Input should be a finite number",
        ),
        (
            DETECTOR,
            lambda m: m["input"].update(std=[float("inf"), 1, 1]),
            "input.std.0: Input should be a finite number",
        ),
        (DETECTOR, lambda m: m.update(opset="20"), "opset: Input should be a valid integer"),
        (CLASSIFIER, lambda m: m["outputs"][0].update(shape=[]), "content: Value error, there are"),
        (DETECTOR, lambda m: m["inputs"][0].update(shape=[]), "content: Value error, input is 320"),
        (CLASSIFIER, lambda m: m["input"].update(shorter_side=10**9), "input.shorter_side: Input"),
        (DETECTOR, lambda m: m["input"].update(VARYING, width=10**9), "input.width: Input should"),
        (
            DETECTOR,
            lambda m: m["input"].update(VARYING, divisor=1000),
            "input: Value error, shorter_side, longer_side, that as a multiple of divisor, and",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(
    store: Path, tmp_path: Path, model: str, edit: Callable[[dict[str, Any]], Any], words: str
) -> None:
    content = json.loads((store / model / "1" / "manifest.json").read_text())
    edit(content)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[", "[]", "", "[" * 100_000, "9" * 5000, '{"x": "\\ud800"}'])
def test_what_is_no_manifest_at_all_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=r"manifest\.json: content: "):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ('"name": "efficientdet_lite0_voc"', "name"),
        ('"interpolation": "bilinear"', "interpolation"),
        ('"id": 3', "id"),
    ],
    ids=["a field", "a part's field", "a label's"],
)
def test_what_is_there_twice_is_refused(
    store: Path, tmp_path: Path, text: str, repeated: str
) -> None:
    """Of two readers each may take another one for the field."""
    content = (store / DETECTOR / "1" / "manifest.json").read_text()
    assert content.count(text) == 1
    path = tmp_path / "manifest.json"
    path.write_text(content.replace(text, f"{text}, {text}"))
    with pytest.raises(ManifestError, match=f"{path}: content: '{repeated}' is there twice"):
        read_manifest(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_other_encodings_are_refused(store: Path, tmp_path: Path, encoding: str) -> None:
    content = (store / DETECTOR / "1" / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(content, encoding=encoding)
    with pytest.raises(
        ManifestError, match=r"content: (.*codec can't decode|Unexpected UTF-8 BOM)"
    ):
        read_manifest(tmp_path / "manifest.json")


def test_nothing_is_awaited_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ManifestError, match=r"manifest\.json: Is no plain file"):
        read_manifest(tmp_path / "manifest.json")
