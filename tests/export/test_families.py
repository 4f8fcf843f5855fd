"""Networks of every family through the export and the service's own runners."""

import asyncio
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from export.__main__ import app
from export.evaluation.photo_set import read_photos
from export.parity.model import stack
from models.checkpoints import Checkpoint, save_checkpoint
from models.faster_rcnn import FasterRCNN, FasterRCNNSettings
from models.variants import SHORTER_SIDE_800, VARIANTS, Variant, at_size, find_variant
from service.engine.engine import Engine
from service.imaging.resize import ModelInput
from service.inference.batcher import Batcher
from service.inference.classifier import ClassificationQuery, Classifier
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.detector import DetectionQuery, Detector
from service.inference.task import Job, Row
from service.manifest import ModelManifest, read_manifest
from service.package import open_package
from service.parameters import DetectParameters
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.export.conftest import (
    LABELS,
    SMALL_RETINANET,
    make_faster_rcnn,
    make_retinanet,
    measure_norms,
    read_images,
    spread_classes,
)

# As fasterrcnn_resnet50_fpn, whose second stage alone needs 26 GFLOP a photo, with fewer channels.
SMALL_FASTER_RCNN = FasterRCNNSettings("resnet18", channels=32, hidden=64, norm_eps=0.0)
SMALL = {
    "retinanet_small": SMALL_RETINANET,
    "fasterrcnn_small": Variant(
        "detection", partial(FasterRCNN, SMALL_FASTER_RCNN), SHORTER_SIDE_800
    ),
}
SIZE = 128
GATE_PHOTOS = ("astronaut", "cat", "coffee")
# on inputs of 128 x 128, 160 x 128 and 192 x 128
ALIKE = (("astronaut", "photographer"), ("galaxies", "gravel"), ("cat", "coffee", "rocket"))
QUERY = DetectionQuery(np.float32(0.05), np.float32(0.5), 100, None)


def export_by_command(store: Path, name: str, state: dict, gate: Path, *options: str) -> Path:
    """The package that `python -m export` writes of a checkpoint with ``state``."""
    weights = store.parent / f"{name}.pth"
    save_checkpoint(Checkpoint(state, name, LABELS), weights)
    output = store / name.replace("+", "_") / "1"
    arguments = [name, "--weights", weights, "--output", output, "--photos", gate, *options]
    result = CliRunner().invoke(app, ["create", *(str(argument) for argument in arguments)])
    assert result.exit_code == 0, result.output
    weights.unlink()
    return output


@pytest.fixture(scope="module")
def gate(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos that these exports are held to: fewer than all, to save time."""
    folder = tmp_path_factory.mktemp("gate")
    for name in GATE_PHOTOS:
        shutil.copy(photos / f"{name}.jpg", folder)
    return folder


@dataclass(frozen=True)
class Exported:
    package: Path
    detector: Detector
    images: dict[str, ModelInput]  # by the photo's name

    @property
    def manifest(self) -> ModelManifest:
        return self.detector.manifest


@pytest.fixture(
    scope="module",
    params=[
        "retinanet_small",
        pytest.param("retinanet_resnet18_fpn", marks=pytest.mark.full),
        pytest.param("fasterrcnn_small", marks=pytest.mark.full),
    ],
)
def exported(
    request: pytest.FixtureRequest,
    photos: Path,
    gate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Exported]:
    """A detector whose input varies in size, and a question to it about each photo."""
    store = tmp_path_factory.mktemp("exported") / "store"
    with pytest.MonkeyPatch.context() as patch:
        for name, variant in SMALL.items():
            patch.setitem(VARIANTS, name, variant)
        variant = at_size(VARIANTS[request.param], SIZE)
        make = make_retinanet if request.param.startswith("retinanet") else make_faster_rcnn
        state = make(variant, photos).state_dict()
        package = export_by_command(
            store, request.param, state, gate, "--input-size", str(SIZE), "--licence", "MIT"
        )
    detector = Detector(open_package(package))
    inputs = read_photos(photos, detector.manifest.input)
    names = sorted(path.stem for path in photos.glob("*.jpg"))
    yield Exported(package, detector, dict(zip(names, inputs, strict=True)))
    shutil.rmtree(store)


def assert_same(rows: list[Row], expected: list[Row]) -> None:
    assert [row["label"] for row in rows] == [row["label"] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row["score"] == pytest.approx(other["score"], abs=1e-4)
        np.testing.assert_allclose(row["box"], other["box"], atol=0.05)


def test_package_says_that_its_input_varies(exported: Exported) -> None:
    manifest = exported.manifest
    assert manifest.inputs[0].shape == ("N", "H", "W", 3)
    assert [output.shape for output in manifest.outputs] == [
        ("N",),
        ("N", "K", 4),
        ("N", "K"),
        ("N", "K"),
    ]
    spec = manifest.input
    assert (spec.resize, spec.shorter_side, spec.longer_side) == ("shorter_side", 128, 213)
    assert (spec.height, spec.width, spec.divisor) == (224, 224, 32)
    assert spec.fill == (124, 116, 104)
    assert manifest.task == "detection"


def test_parity_was_measured_on_inputs_of_several_sizes(exported: Exported) -> None:
    shapes = {exported.images[name].pixels.shape for name in GATE_PHOTOS}
    assert len(shapes) > 1
    assert exported.manifest.parity.images == len(GATE_PHOTOS)
    assert exported.manifest.parity.detections_compared > 300


def test_graph_of_varying_size_needs_only_standard_operators(exported: Exported) -> None:
    model = onnx.load(exported.package / "model.onnx")
    assert {opset.domain for opset in model.opset_import} == {""}
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions


def test_every_photo_has_many_detections_inside_it(exported: Exported) -> None:
    for image in exported.images.values():
        (rows,) = exported.detector.run([image], [QUERY])
        assert len(rows) > 20
        assert len({row["label"] for row in rows}) > 1
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] > 0.05
        boxes = np.array([row["box"] for row in rows])
        width, height = image.placement.width, image.placement.height
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        assert (boxes[:, 2:] >= boxes[:, :2]).all()
        assert boxes[:, 2].max() > 0.8 * width  # not in the input's pixels
        assert boxes[:, 3].max() > 0.8 * height


def test_only_inputs_of_one_size_are_grouped(exported: Exported) -> None:
    group = exported.detector.group
    groups = {name: group(image, QUERY) for name, image in exported.images.items()}
    for alike in ALIKE:
        assert len({groups[name] for name in alike}) == 1
    assert len(set(groups.values())) == len(ALIKE)


def test_photo_is_answered_alone_as_among_its_like(exported: Exported) -> None:
    for names in ALIKE:
        images = [exported.images[name] for name in names]
        together = exported.detector.run(images, [QUERY] * len(images))
        for image, rows in zip(images, together, strict=True):
            assert_same(rows, exported.detector.run([image], [QUERY])[0])


class Recorder:
    """Runs a detector and notes what runs together; waits until all photos are queued."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.gate = detector, threading.Event()
        self.batches: list[list[tuple[int, ...]]] = []

    def __call__(self, jobs: Sequence[Job]) -> list[list[Row]]:
        self.gate.wait(10)
        images, queries = [job.content for job in jobs], [job.query for job in jobs]
        self.batches.append([image.pixels.shape for image in images])
        return self.detector.run(images, queries)


def test_photos_of_all_shapes_in_one_queue(exported: Exported) -> None:
    """The batcher takes what fits together, and each photo gets its own answer."""
    recorder = Recorder(exported.detector)
    batcher = Batcher(recorder, max_batch_size=4, runners=1, name="detector")
    policy = RequestPolicy(Deadline.after(60))

    async def ask() -> list[list[Row]]:
        jobs = [
            Job(image, QUERY, policy, group=exported.detector.group(image, QUERY))
            for image in exported.images.values()
        ]
        tasks = [asyncio.create_task(batcher.submit(job)) for job in jobs]
        await asyncio.sleep(0)
        recorder.gate.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(ask())
    batcher.close()
    assert all(len(set(batch)) == 1 for batch in recorder.batches)
    assert len(recorder.batches) < len(exported.images)
    for image, rows in zip(exported.images.values(), answers, strict=True):
        assert_same(rows, exported.detector.run([image], [QUERY])[0])


def test_engine_serves_photos_of_all_shapes(exported: Exported, photos: Path) -> None:
    engine = Engine(
        Settings(model_store=exported.package.parent.parent, max_batch_size=2, concurrent_runs=1),
        Metrics(ServiceState),
    )
    contents = [(photos / f"{name}.jpg").read_bytes() for name in exported.images]
    parameters = DetectParameters(score_threshold=0.05)
    answer = asyncio.run(
        engine.answer("detection", contents, parameters, RequestPolicy(Deadline.after(60)))
    )
    engine.close()
    for result, image in zip(answer.results, exported.images.values(), strict=True):
        placement = image.placement
        assert (result["width"], result["height"]) == (placement.width, placement.height)
        assert_same(result["detections"], exported.detector.run([image], [QUERY])[0])


def make_classifier(name: str, photos: Path) -> tuple[Variant, torch.nn.Module]:
    """A random ResNet at 64 pixels that tells the photos apart."""
    torch.manual_seed(0)
    variant = at_size(find_variant(name), 64)
    network = variant.build(len(LABELS))
    with torch.no_grad():
        images = read_images(variant, photos)
        measure_norms(network.backbone, images)
        spread_classes(network, images)
    return variant, network


def classify(package: Path, images: list[ModelInput]) -> tuple[np.ndarray, list[list[Row]]]:
    """The graph's probabilities, and the service's rows of all classes."""
    opened = open_package(package)
    batch = stack([image.pixels for image in images])
    query = ClassificationQuery(len(LABELS))
    rows = Classifier(opened).run(images, [query] * len(images))
    return opened.run({"images": batch})["probabilities"], rows


@pytest.mark.parametrize(
    ("name", "options", "activation"),
    [
        ("resnet18+bilinear", ["--multi-label"], "sigmoid"),
        pytest.param("resnet18", ["--multi-label"], "sigmoid", marks=pytest.mark.full),
        pytest.param("resnet18+bilinear", [], "softmax", marks=pytest.mark.full),
    ],
    ids=["bilinear head of several labels", "several labels", "bilinear head"],
)
def test_classifier_at_another_size(
    photos: Path, gate: Path, tmp_path: Path, name: str, options: list[str], activation: str
) -> None:
    variant, network = make_classifier(name, photos)
    package = export_by_command(
        tmp_path / "store", name, network.state_dict(), gate, "--input-size", "64", *options
    )
    manifest = read_manifest(package / "manifest.json")
    assert manifest.activation == activation
    assert manifest.provenance.architecture == name
    assert manifest.inputs[0].shape == ("N", 64, 64, 3)
    spec = manifest.input
    assert (spec.resize, spec.height, spec.width) == ("centre_crop", 64, 64)
    assert spec.shorter_side == 73  # 256 x 64 / 224
    assert manifest.parity.max_score_difference <= 1e-4

    images = read_photos(photos, variant.input)
    probabilities, rows = classify(package, images)
    with torch.no_grad():
        logits = network(read_images(variant, photos))
    expected = logits.sigmoid() if activation == "sigmoid" else logits.softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=1e-4)
    sums = probabilities.sum(axis=1)
    if activation == "sigmoid":
        assert (np.abs(sums - 1) > 0.01).all()
        assert sums.max() > 1.5
    else:
        np.testing.assert_allclose(sums, 1, atol=1e-5)
    for row, own in zip(rows, probabilities, strict=True):
        assert [item["score"] for item in row] == pytest.approx(np.sort(own)[::-1], abs=1e-5)
        assert row[0]["label_id"] == LABELS[own.argmax()][0]
    assert len({row[0]["label"] for row in rows}) > 1
