"""`python -m export evaluate` on the shipped detector, a worse copy of it and a real server."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import onnx
import pytest
import skimage
from click.testing import Result
from PIL import Image, ImageOps
from typer.testing import CliRunner

from export.__main__ import app
from export.evaluation.column import PackageColumn
from export.evaluation.server import open_server
from service.imaging.files import PhotoError
from service.package import open_package
from service.providers import OPENVINO, has_bf16
from tests.e2e.server import Server, free_port

NAME = "efficientdet_lite0_voc"
LARGEST = (480, 480)
SCIENCE = """
    astronaut brick camera cell chelsea clock_motion coffee coins horse ihc motorcycle_left page
    retina rocket
"""


@pytest.fixture(scope="module")
def package(store: Path) -> Path:
    return store / NAME / "1"


@pytest.fixture(scope="module")
def worse(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped detector with noise on the weights of its first layer."""

    def add_noise(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
        values = onnx.numpy_helper.to_array(tensor)
        noise = np.random.default_rng(0).normal(0, values.std() / 3, values.shape)
        changed = onnx.numpy_helper.from_array((values + noise).astype(values.dtype), tensor.name)
        tensor.CopyFrom(changed)

    return changed_copy(package, tmp_path_factory.mktemp("store") / "worse" / "1", add_noise)


def changed_copy(package: Path, folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A package of its own right in ``folder``, whose name it takes."""
    shutil.copytree(package, folder)
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["name"], manifest["version"] = folder.parent.name, folder.name
    manifest["sha256"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def album(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 photos, half of them mirrored, of several formats and sizes."""
    folder = tmp_path_factory.mktemp("album")
    science = [next(Path(skimage.data_dir).glob(f"{name}.*")) for name in SCIENCE.split()]
    for path in (*sorted(photos.glob("*.jpg")), *science):
        with Image.open(path) as image:
            image.thumbnail(LARGEST)
            image.save(folder / f"{path.parent.name}-{path.name}")
            ImageOps.mirror(image).save(folder / f"{path.parent.name}-{path.stem}-mirrored.png")
    assert len(list(folder.iterdir())) == 42
    return folder


@pytest.fixture(scope="module")
def annotations(album: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the detector itself finds, each box moved and some left out, so that AP is between
    nothing and all."""
    detector = PackageColumn(open_package(package))
    paths = sorted(album.iterdir())
    generator = np.random.default_rng(0)
    images, rows = [], []
    for number, (path, detections) in enumerate(
        zip(paths, detector.answer(paths, lambda done, total: None), strict=True), start=1
    ):
        with Image.open(path) as image:
            size = {"width": image.width, "height": image.height}
        images.append({"id": number, "file_name": path.name, **size})
        for row in detections[:6]:
            left, top, right, bottom = row["box"]
            width, height = right - left, bottom - top
            if generator.random() < 0.8 and min(width, height) > 4:
                x, y = generator.normal(0, 0.08, 2) * (width, height)
                bbox = [left + x, top + y, width, height]
                rows.append({"image_id": number, "category_id": row["label_id"], "bbox": bbox})
    categories = [label.model_dump() for label in detector.manifest.labels]
    path = tmp_path_factory.mktemp("truth") / "instances.json"
    content = {
        "images": images,
        "annotations": [{"id": i, **row} for i, row in enumerate(rows, start=1)],
        "categories": categories,
    }
    path.write_text(json.dumps(content))
    return path


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_server_answers_as_the_package(
    server: Server, package: Path, annotations: Path, album: Path
) -> None:
    result = evaluate(package, "--annotations", annotations, "--images", album, "--url", server.url)
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    here, there = content["columns"]
    assert (content["images"], there["title"], there["source"]) == (42, "HTTP fp32", f"{NAME}/1")
    assert 0.2 < here["metrics"]["ap"] < 0.9
    assert there["metrics"] == pytest.approx(here["metrics"], abs=1e-3)
    assert there["classes"] == pytest.approx(here["classes"], abs=1e-3)
    assert len(here["classes"]) > 3
    assert there["agreement"] == 1
    assert "passed: AP of each within 0.5 points" in result.stderr


def test_the_server_classifies_as_the_package(server: Server, store: Path, album: Path) -> None:
    classifier = store / "efficientnet_lite0_imagenet" / "1"
    result = evaluate(classifier, "--images", album, "--url", server.url)
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["gate"] == {"metric": "agreement", "tolerance_points": 3.0, "passed": True}
    assert [column["agreement"] for column in content["columns"]] == [1, 1]


def test_a_worse_package_stops_a_release(
    package: Path, worse: Path, annotations: Path, album: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    options = ["--annotations", annotations, "--images", album, "--json", report]
    result = evaluate(package, worse, *options, "--limit", 12)
    assert result.exit_code == 2, result.output
    assert "failed: AP of ONNX fp32 worse/1 is" in result.stdout
    assert "AP cat" in result.stdout
    content = json.loads(report.read_text())
    assert (content["images"], content["images_in_data"]) == (12, 42)
    assert content["columns"][1]["drop_points"] > 0.5
    assert content["columns"][1]["agreement"] < 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert evaluate(package, worse, *options, "--limit", 3, "--tolerance", 100).exit_code == 0


def test_a_server_with_another_graph_is_refused(
    server: Server, package: Path, album: Path, tmp_path: Path
) -> None:
    changed = changed_copy(
        package, tmp_path / NAME / "1", lambda model: setattr(model, "producer_name", "another")
    )
    result = evaluate(changed, "--images", album, "--url", server.url)
    assert result.exit_code == 1
    assert f"serves another graph as {NAME}/1" in result.stderr.splitlines()[-1]


def test_a_server_without_the_package_is_refused(server: Server, worse: Path, album: Path) -> None:
    result = evaluate(worse, "--images", album, "--url", server.url)
    assert result.exit_code == 1
    assert f"serves no worse/1, but {NAME}/1" in result.stderr.splitlines()[-1]


def test_a_photo_that_the_server_refuses_is_named(
    server: Server, package: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    manifest = open_package(package).manifest
    with (
        open_server(server.url, [manifest]) as [column],
        pytest.raises(PhotoError, match=r"bad\.jpg: .*no image in a known format"),
    ):
        column.answer([tmp_path / "bad.jpg"] * 3, lambda done, total: None)


def test_a_busy_server_is_asked_again(package: Path, photos: Path, strict_server: Server) -> None:
    """It takes three of the eight photos that are asked for at once."""
    with open_server(strict_server.url, [open_package(package).manifest]) as [column]:
        answers = column.answer([photos / "cat.jpg"] * 8, lambda done, total: None)
    assert "cat" in answers[0][0]["label"]
    assert answers == [answers[0]] * 8
    refused = httpx.get(f"{strict_server.url}/metrics").text
    assert re.search(r'boxport_requests_total{.*reason="overloaded".*status="503"', refused)


def test_an_address_where_nobody_listens_is_named(package: Path, album: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for address, words in ((url, "cannot be reached"), (urlsplit(url).netloc, "cannot be reached")):
        result = evaluate(package, "--images", album, "--url", address)
        assert result.exit_code == 1
        line = result.stderr.strip().splitlines()[-1]
        assert words in line, line
        assert line.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/1"], "no/such/1/manifest.json"),
        (["--annotations", "no.json"], "no.json: No such file"),
        (["--images", "nowhere"], "nowhere: there is no such folder"),
        (["--weights", "no.pth"], "no.pth: there is no such file"),
        (["--json", "no/folder/x.json"], "there is no folder no/folder"),
        (["--json", "."], "cannot be written"),
        ([], "no second column to agree with"),
        (["--url", "http://localhost:port"], "is no address such as"),
    ],
    ids=["package", "annotations", "images", "weights", "json", "json a folder", "nothing", "url"],
)
def test_what_is_wrong_is_said_in_one_line(
    package: Path, album: Path, arguments: list[str], words: str
) -> None:
    result = evaluate(package, "--images", album, *arguments)
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert words in lines[0]


def test_weights_that_are_not_the_packages_are_noted(
    store: Path, imagenet_weights: Path, album: Path, tmp_path: Path
) -> None:
    classifier = store / "efficientnet_lite0_imagenet" / "1"
    same = evaluate(classifier, "--images", album, "--weights", imagenet_weights, "--limit", 2)
    assert (same.exit_code, "note:" in same.stderr) == (0, False)
    assert [c["title"] for c in json.loads(same.stdout)["columns"]] == ["PyTorch", "ONNX fp32"]
    resaved = tmp_path / "resaved.pth"
    resaved.write_bytes(imagenet_weights.read_bytes() + b"\0")
    other = evaluate(classifier, "--images", album, "--weights", resaved, "--limit", 2)
    assert "resaved.pth is not the file that efficientnet_lite0_imagenet was" in other.stderr


def test_bfloat16_is_measured_beside_float32_or_refused(
    package: Path, album: Path, annotations: Path
) -> None:
    arguments = ["--annotations", str(annotations), "--images", str(album), "--limit", "4"]
    result = CliRunner().invoke(app, ["evaluate", str(package), *arguments, "--bf16"])
    if OPENVINO.is_available and has_bf16():
        content = json.loads(result.stdout)
        columns = content["columns"]
        assert [column["title"] for column in columns] == ["ONNX fp32", "OpenVINO bf16"]
        assert content["gate"]["tolerance_points"] == 0.1
        assert columns[1]["agreement"] > 0.9
        assert columns[1]["metrics"] != columns[0]["metrics"]
    else:
        assert result.exit_code == 1
        assert len(result.stderr.strip().splitlines()) == 1
