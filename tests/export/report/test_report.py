"""The report is one page that needs nothing else, and says what the package is worth."""

import base64
import hashlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from export.evaluation.photo_set import find_photos
from export.report import manifest_mark, write_report
from export.report.examples import (
    EXAMPLES,
    drawn,
    make_examples,
    pair_classes,
    pair_detections,
)
from export.report.latency import Latency, machine_name, measure_latency
from service.manifest import Label, read_manifest
from service.package import find_packages, open_package
from service.provenance import Accuracy
from tests.html_page import Page

CLASSIFIER, DETECTOR = "efficientnet_lite0_imagenet", "efficientdet_lite0_voc"
EVIL = "<script>alert('&')</script>"
LATENCY = Latency(1, 1, 30, 20.0, 25.0, 1.0)


def quantise_a_constant(path: Path) -> str:
    """Give the graph a constant in 8 bits, as those of int8 packages have many; its new sha256."""
    model = onnx.load(path)
    names = ["eighth", "eighth.scale"]
    for name, value in zip(names, (np.int8(8), np.float32(1 / 64)), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    model.graph.node.append(helper.make_node("DequantizeLinear", names, ["eighth.value"]))
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def packages(store: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with reports: of the classifier, and of the detector beside an int8 copy."""
    copy = tmp_path_factory.mktemp("store")
    for name in (CLASSIFIER, DETECTOR):
        shutil.copytree(store / name / "1", copy / name / "1")
    int8 = shutil.copytree(store / DETECTOR / "1", copy / "copy" / "1")
    manifest = read_manifest(int8 / "manifest.json")
    labels = (Label(id=1, name=EVIL), *manifest.labels[1:])
    accuracy = Accuracy(data="x", images=9, metrics={"ap": 0.2}, classes={EVIL: 0.3, "cat": 0.4})
    update = {
        "name": "copy",
        "precision": "int8",
        "labels": labels,
        "accuracy": accuracy,
        "sha256": quantise_a_constant(int8 / "model.onnx"),
    }
    manifest.model_copy(update=update).write(int8 / "manifest.json")
    for name in (CLASSIFIER, DETECTOR, "copy"):
        folder = copy / name / "1"
        others = [int8] if name == DETECTOR else []
        write_report(folder, find_photos(photos), open_package(folder), others)
    return copy


@pytest.fixture(params=[CLASSIFIER, DETECTOR, "copy"])
def html(request: pytest.FixtureRequest, packages: Path) -> str:
    return (packages / request.param / "1" / "report.html").read_text(encoding="utf-8")


def test_page_is_whole(html: str) -> None:
    page = Page(html)
    assert page.open == []
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1


def test_page_needs_nothing_else(html: str) -> None:
    for tag, attributes in Page(html).elements:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,"))
    assert not re.search(r"https?:|url\(|@import", html)
    assert len(html) < 500_000


def test_page_works_in_the_dark_and_on_a_phone(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert 'content="width=device-width, initial-scale=1"' in html


def test_pictures_have_an_alternative(html: str) -> None:
    page = Page(html)
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == EXAMPLES
    for picture in pictures:
        assert picture["alt"].startswith("Photo ")
        data = base64.b64decode(picture["src"].removeprefix("data:image/webp;base64,"))
        with Image.open(io.BytesIO(data)) as shown:
            assert max(shown.size) <= 560
    for tag, attributes in page.elements:
        assert tag != "svg" or attributes.get("aria-hidden") or attributes["aria-label"]


def test_page_tells_what_was_exported_from_what(packages: Path) -> None:
    for folder in find_packages(packages):
        content = (folder / "manifest.json").read_bytes()
        manifest = read_manifest(folder / "manifest.json")
        html = (folder / "report.html").read_text(encoding="utf-8")
        text = Page(html).text
        provenance = manifest.provenance
        for told in (
            manifest.name,
            manifest.sha256,
            provenance.architecture,
            provenance.weights_sha256,
            provenance.licence,
            *provenance.tools.values(),
            *(label.name for label in manifest.labels),
            *(tensor.name for tensor in (*manifest.inputs, *manifest.outputs)),
            *(case.name for case in manifest.parity.cases),
            "ONNX Runtime gives the answers of Boxport's own network",
            "such as other anchors, normalisation or resizing, was not compared",
            machine_name(),
        ):
            assert told in text
        assert manifest_mark(content) in html


def test_names_are_escaped(packages: Path) -> None:
    html = (packages / "copy" / "1" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert EVIL in Page(html).text


def test_precisions_are_told_side_by_side(packages: Path) -> None:
    html = (packages / DETECTOR / "1" / "report.html").read_text(encoding="utf-8")
    text = Page(html).text
    assert "Precisions side by side" in text
    assert "copy/1" in text
    assert html.count('class="swatch s1"') >= 2  # in the charts of accuracy and of latency
    alone = (packages / "copy" / "1" / "report.html").read_text(encoding="utf-8")
    assert "side by side" not in alone


def test_service_takes_no_notice_of_a_report(packages: Path) -> None:
    assert len(find_packages(packages)) == 3
    assert open_package(packages / CLASSIFIER / "1").manifest.name == CLASSIFIER


def row(label: str, score: float, box: tuple[float, ...]) -> dict:
    return {"label": label, "label_id": len(label), "score": score, "box": list(box)}


def test_detections_are_paired_by_label_and_overlap() -> None:
    reference = [row("cat", 0.9, (0, 0, 100, 100)), row("dog", 0.8, (0, 0, 10, 10))]
    package = [
        row("cat", 0.7, (0, 0, 100, 50)),
        row("cat", 0.6, (0, 0, 100, 100)),
        row("horse", 0.5, (0, 0, 10, 10)),
    ]
    pairs = pair_detections(reference, package[1:])
    assert [(p.label, p.reference, p.package, p.iou) for p in pairs] == [
        ("cat", 0.9, 0.6, 1.0),
        ("dog", 0.8, None, None),
        ("horse", None, 0.5, None),
    ]
    assert pair_detections(reference, [package[0]])[0].iou == 0.5
    assert pair_detections([], []) == []


def test_classes_are_paired_by_id() -> None:
    reference = [{"label": "cat", "label_id": 1, "score": 0.9}]
    package = [{"label": "dog", "label_id": 2, "score": 0.8}, *reference]
    pairs = pair_classes(reference, package)
    assert [(p.label, p.reference, p.package) for p in pairs] == [
        ("cat", 0.9, 0.9),
        ("dog", None, 0.8),
    ]


def test_both_models_boxes_are_seen_where_they_coincide(packages: Path) -> None:
    """The package's over the reference's, which its line is narrower than."""
    html = (packages / DETECTOR / "1" / "report.html").read_text(encoding="utf-8")
    photos = re.findall(r'<div class="photo">.*?</div>', html, re.DOTALL)
    drawings = [re.findall(r'<rect class="(truth|right)"', photo) for photo in photos]
    assert any(drawings)
    for boxes in drawings:
        assert boxes == sorted(boxes, reverse=True)
        assert boxes.count("truth") == boxes.count("right")
    assert "person 0." in "".join(photos)


def test_only_the_packages_boxes_have_labels() -> None:
    rows = [row("cat", 0.5, (10, 20, 110, 220)), row("dog", 0.4, (0, 0, 0, 0))]
    package, reference = drawn(rows, "right"), drawn(rows, "truth")
    assert [box.bbox for box in package] == [(10, 20, 100, 200), (0, 0, 0, 0)]
    assert [box.label for box in package] == ["cat 0.50", "dog 0.40"]
    assert [box.label for box in reference] == ["", ""]


def test_examples_show_first_what_has_something_to_see(store: Path, photos: Path) -> None:
    package = open_package(store / DETECTOR / "1")
    examples = make_examples(find_photos(photos), package, package)
    counts = [len(example.pairs) for example in examples]
    assert counts == sorted(counts, reverse=True)
    cat = next(example for example in examples if example.name == "cat.jpg")
    assert (cat.pairs[0].label, cat.pairs[0].iou) == ("cat", 1.0)
    assert "cat 0.8" in cat.alt


def test_latency_is_measured_at_every_setting(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.report.latency.available_cpus", lambda: 2)
    monkeypatch.setattr("export.report.latency.SECONDS", 0.05)
    image = np.zeros((224, 224, 3), dtype=np.uint8)
    single, both, eight, eight_both = measure_latency(store / CLASSIFIER / "1", image)
    settings = [(x.batch_size, x.threads) for x in (single, both, eight, eight_both)]
    assert settings == [(1, 1), (1, 2), (8, 1), (8, 2)]
    assert eight.median_ms > 3 * single.median_ms
    assert single.runs > 1
    assert 0 < single.cpu_share <= 1
    assert single.images_per_second == pytest.approx(1000 / single.median_ms)
    assert eight.ms_per_image == eight.median_ms / 8


def test_processor_is_named(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: A Fast One\n")
    assert machine_name(info).startswith("A Fast One, ")
    assert machine_name(tmp_path / "missing")
