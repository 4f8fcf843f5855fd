"""Manifests are read and written without loss, and state nothing that makes no sense."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.manifest import ManifestError, read_manifest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "model_store").glob("*/*/manifest.json"))
DETECTOR, CLASSIFIER = "efficientdet_lite0_voc", "efficientnet_lite0_imagenet"
UNUSED = {"fill": [128, 128, 128], "antialias": True}  # what version 1 states of a crop as well

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
    if manifest.input.resize == "centre_crop":
        written["input"] |= UNUSED
    else:
        assert written["input"].pop("anchor", "top_left") == "top_left"
    for part, new, old in RENAMED:
        if new in part(written):
            part(written)[old] = part(written).pop(new)
    assert written == json.loads(path.read_text())


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


@pytest.mark.parametrize("content", ["[", "[]", ""])
def test_what_is_no_manifest_at_all_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ManifestError, match=r"manifest\.json: content: "):
        read_manifest(tmp_path / "manifest.json")
