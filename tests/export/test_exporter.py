"""The export writes a package that is proven right, or nothing."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import Message

from export import exporter
from export.evaluation.column import QUERY
from export.evaluation.figures import measure_accuracy
from export.evaluation.photo_set import EvaluationSet, read_photos
from export.exporter import ExportJob, export
from export.package_writer import OutputError, finish_package
from export.parity.comparison import ParityError
from export.progress import SILENT
from export.settings import Settings
from export.trained_model import load_model
from export.verify import verify
from models.checkpoint_file import CheckpointError
from service.imaging.files import read_photo
from service.inference.detector import Detector
from service.manifest import ModelManifest, read_manifest
from service.package import ModelPackage, open_package
from tests.export.tampering import scale_first_weights

LABELS = ((1, "person"), (2, "cat"), (3, "cup"), (4, "rocket"))  # of the `checkpoint` fixture
SIZE = 128  # pixels of a side, a seventh of the work at the network's own


@pytest.fixture(scope="module")
def exported(
    checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ModelManifest]:
    output = tmp_path_factory.mktemp("store") / "things" / "1"
    job = ExportJob(
        checkpoint.stem, checkpoint, output, photos, "MIT", settings=Settings(input_size=SIZE)
    )
    return output, export(job)


def test_package_opens_and_states_what_it_is(exported: tuple[Path, ModelManifest]) -> None:
    output, manifest = exported
    assert open_package(output).manifest == manifest
    assert (manifest.name, manifest.version, manifest.task) == ("things", "1", "detection")
    assert [(label.id, label.name) for label in manifest.labels] == list(LABELS)
    assert manifest.provenance.licence == "MIT"
    assert [path.name for path in output.parent.parent.iterdir()] == ["things"]
    assert sorted(p.name for p in output.iterdir()) == [
        "manifest.json",
        "model.onnx",
        "report.html",
    ]


def test_package_passes_verification(exported: tuple[Path, ModelManifest], photos: Path) -> None:
    assert [check.detail for check in verify(exported[0], photos) if check.passed is False] == []


def test_parity_was_measured_on_many_detections(exported: tuple[Path, ModelManifest]) -> None:
    parity = exported[1].parity
    assert parity.detections_compared > 100
    assert parity.batch_sizes == (1, 2, 7)
    assert parity.max_score_difference <= 1e-4
    assert parity.max_box_difference_px <= 0.01


def test_graph_names_no_path_and_no_source_code(exported: tuple[Path, ModelManifest]) -> None:
    model = onnx.load(exported[0] / "model.onnx")
    texts = list(texts_of(model))
    assert "images" in texts
    for text in texts:
        assert not re.search(r"/|\.py\b", text)


def texts_of(message: Message) -> Iterator[str]:
    """Every string in a protobuf message; not its bytes, which can spell anything."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.type == field.TYPE_MESSAGE:
                yield from texts_of(item)
            elif field.type == field.TYPE_STRING:
                yield item


def test_graph_needs_only_standard_operators(exported: tuple[Path, ModelManifest]) -> None:
    model = onnx.load(exported[0] / "model.onnx")
    assert {opset.domain for opset in model.opset_import} == {""}
    assert {node.domain for node in model.graph.node} == {""}


def test_photo_runs_alone_as_in_any_batch(
    exported: tuple[Path, ModelManifest], photos: Path
) -> None:
    package = open_package(exported[0])
    images = np.stack([p.pixels for p in read_photos(photos, package.manifest.input)])
    feeds = {
        "score_threshold": np.array(0.1, dtype=np.float32),
        "iou_threshold": np.array(0.5, dtype=np.float32),
        "max_detections": np.array(20),
        "class_agnostic": np.array(False),
    }
    together = package.run({"images": images, **feeds})
    for i in range(len(images)):
        alone = package.run({"images": images[i : i + 1], **feeds})
        for name in together:
            np.testing.assert_allclose(together[name][i], alone[name][0], atol=1e-3)


def test_checkpoint_of_another_architecture_is_refused(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    job = ExportJob("efficientnet_lite0", checkpoint, tmp_path / "x" / "1", photos, "MIT")
    with pytest.raises(CheckpointError, match=f"is of {checkpoint.stem}, not efficientnet_lite0"):
        export(job)
    assert not list(tmp_path.iterdir())


def test_existing_package_is_left_alone(
    exported: tuple[Path, ModelManifest], checkpoint: Path, photos: Path
) -> None:
    before = (exported[0] / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match="a changed model needs a new version"):
        export(ExportJob(checkpoint.stem, checkpoint, exported[0], photos, "MIT"))
    assert (exported[0] / "manifest.json").read_bytes() == before


@pytest.mark.full  # commands/test_terminal.py has the like of a small network
def test_failed_gate_writes_nothing(
    exported: tuple[Path, ModelManifest],
    checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file has other weights than the network that it is held to."""
    model = onnx.load(exported[0] / "model.onnx")
    scale_first_weights(model)
    monkeypatch.setattr(exporter, "to_onnx", lambda *_: model)
    output = tmp_path / "store" / "x" / "1"
    with pytest.raises(ParityError):
        export(
            ExportJob(
                checkpoint.stem,
                checkpoint,
                output,
                photos,
                "MIT",
                settings=Settings(input_size=SIZE),
            )
        )
    assert not (tmp_path / "store").exists()


def test_accuracy_is_measured_through_the_package(
    exported: tuple[Path, ModelManifest], photos: Path, tmp_path: Path
) -> None:
    """Boxes that the package itself gives are the truth, so its AP must come near one."""
    package = open_package(exported[0])
    truth = own_detections_as_truth(package, photos, tmp_path / "truth.json")
    evaluation = EvaluationSet(photos, truth)
    labels = package.manifest.labels
    accuracy, _ = measure_accuracy(package, evaluation.read(labels))
    assert accuracy.images == 2
    assert accuracy.metrics["ap50"] > 0.95
    emptied = json.loads(truth.read_text())
    for row in emptied["annotations"]:
        row["bbox"][0] += 300
    truth.write_text(json.dumps(emptied))
    assert measure_accuracy(package, evaluation.read(labels))[0].metrics["ap50"] < 0.5


def test_accuracy_is_written_into_the_manifest(
    checkpoint: Path,
    exported: tuple[Path, ModelManifest],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = onnx.load(exported[0] / "model.onnx")
    monkeypatch.setattr(exporter, "to_onnx", lambda *_: model)  # to trace it again takes long
    truth = own_detections_as_truth(open_package(exported[0]), photos, tmp_path / "truth.json")
    output = tmp_path / "store" / "measured" / "1"
    job = ExportJob(
        checkpoint.stem,
        checkpoint,
        output,
        photos,
        "MIT",
        evaluation=EvaluationSet(photos, truth),
        settings=Settings(input_size=SIZE),
    )
    manifest = export(job)
    assert read_manifest(output / "manifest.json") == manifest
    assert manifest.accuracy.metrics["ap50"] > 0.95
    _, judged = measure_accuracy(open_package(output), job.evaluation.read(manifest.labels))
    assert manifest.defaults.score_threshold == judged.best_threshold() != 0.3
    assert "Reliability of scores" in (output / "report.html").read_text()


def test_a_threshold_that_was_stated_stays(
    checkpoint: Path,
    exported: tuple[Path, ModelManifest],
    photos: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store" / "measured" / "1"
    shutil.copytree(exported[0], folder)
    manifest = exported[1].model_copy(update={"name": "measured", "version": "1"})
    manifest.write(folder / "manifest.json")
    package = open_package(folder)
    truth = own_detections_as_truth(package, photos, tmp_path / "truth.json")
    measured = finish_package(folder, package, [photos / "cat.jpg"], EvaluationSet(photos, truth))
    assert measured.defaults == manifest.defaults
    assert measured.accuracy is not None


def test_scores_get_the_temperature_that_fits(
    checkpoint: Path, exported: tuple[Path, ModelManifest], photos: Path, tmp_path: Path
) -> None:
    """All that is found is right, though most scores are below a half: they are to come nearer."""
    truth = own_detections_as_truth(open_package(exported[0]), photos, tmp_path / "truth.json")
    settings = Settings(input_size=SIZE)
    job = ExportJob(
        checkpoint.stem,
        checkpoint,
        tmp_path / "store" / "fitting" / "1",
        photos,
        "MIT",
        evaluation=EvaluationSet(photos, truth),
        settings=settings,
        calibrate=True,
    )
    model = load_model(checkpoint.stem, checkpoint, settings)
    calibrated = exporter._calibrated(model, job, SILENT)
    assert calibrated.settings.as_texts()["temperature"] == "4.0"
    photo_set = job.evaluation.read(model.labels)
    (_, plain), (_, fitting) = (
        measure_accuracy(one.package(), photo_set) for one in (model, calibrated)
    )
    assert fitting.calibration_error() < plain.calibration_error()


def own_detections_as_truth(package: ModelPackage, photos: Path, path: Path) -> Path:
    """A COCO file of what the package finds in two photos, none left out."""
    detector = Detector(package)
    spec = detector.manifest.input
    names = ["cat.jpg", "astronaut.jpg"]
    inputs = [read_photo(photos / name, spec) for name in names]
    rows = detector.run(inputs, [QUERY] * len(names))
    annotations = []
    for image_id, detections in enumerate(rows):
        for row in detections:
            left, top, right, bottom = row["box"]
            width, height = right - left, bottom - top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": row["label_id"],
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    images = [
        {"id": i, "file_name": name, "width": placed.width, "height": placed.height}
        for i, (name, placed) in enumerate(zip(names, (p.placement for p in inputs), strict=True))
    ]
    categories = [{"id": i, "name": name} for i, name in LABELS]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path
