"""What docs/graph.md prints is what happens: its code is run as it stands, with nothing of ours."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.imaging.files import read_photo
from service.manifest import DETECTION_INPUTS, DETECTION_OUTPUTS, read_manifest
from service.package import open_package
from tests.docs.pages import DOCS, blocks
from tests.paths import ROOT

PAGE = (DOCS / "graph.md").read_text()
PACKAGE = ROOT / "model_store" / "efficientdet_lite0_voc" / "1"
(CODE,) = blocks(DOCS / "graph.md", "python")


def test_example_needs_three_packages_and_nothing_of_ours() -> None:
    modules = re.findall(r"^(?:import|from) (\w+)", CODE, re.MULTILINE)
    assert modules == ["numpy", "onnxruntime", "PIL"]


def test_example_finds_the_cat(tmp_path: Path) -> None:
    for folder in ("docs", "model_store"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = [re.findall(r"[\d.]+(?:e[+-]\d+)?", line) for line in done.stdout.splitlines()]
    found = np.array(rows, dtype=np.float64)  # label, score, box
    expected = own_answer()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    label = int(re.search(r"^Label (\d+) is the cat", PAGE, re.MULTILINE)[1])
    assert found[0, 0] == label
    assert read_manifest(PACKAGE / "manifest.json").labels[label].name == "cat"


def own_answer() -> np.ndarray:
    """Label, score and box of what the package finds, with the service's own pre-processing, its
    values rounded as Pillow rounds them."""
    package = open_package(PACKAGE)
    cat = ROOT / "docs" / "photos" / "cat.jpg"
    image = read_photo(cat, package.manifest.input, exact=True)
    defaults = package.manifest.defaults
    outputs = package.run(
        {
            "images": image.pixels[None],
            "score_threshold": np.array(defaults.score_threshold, dtype=np.float32),
            "iou_threshold": np.array(defaults.iou_threshold, dtype=np.float32),
            "max_detections": np.array(defaults.max_detections),
            "class_agnostic": np.array(False),
        }
    )
    count = outputs["num_detections"][0]
    assert count > 0
    boxes = outputs["boxes"][0, :count] * 451 / 320
    return np.column_stack((outputs["labels"][0, :count], outputs["scores"][0, :count], boxes))


@pytest.mark.parametrize("names", [DETECTION_INPUTS, DETECTION_OUTPUTS], ids=["inputs", "outputs"])
def test_tables_list_the_graphs_inputs_and_outputs_in_order(names: tuple[str, ...]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert tuple(name for name in rows if name in names) == names


def test_tables_give_the_types_of_the_shipped_package() -> None:
    manifest = read_manifest(PACKAGE / "manifest.json")
    for value in (*manifest.inputs, *manifest.outputs):
        dtype = re.search(rf"^\| `{value.name}` \| (\w+) \|", PAGE, re.MULTILINE)[1]
        assert dtype.replace("float32", "float") == value.dtype
