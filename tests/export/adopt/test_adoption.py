"""From a file to a package: whole, served, and held against its owner's answers."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.adopt.adoption import AccuracyError, AdoptionJob, adopt, plan_of
from export.adopt.decoders.row import Given
from export.adopt.prove import ForeignSession
from export.evaluation.photo_set import EvaluationSet, find_photos
from export.package_writer import written_aside
from export.precision.conversion import ConversionError, ConversionJob, convert
from export.proof.answers import OwnerAnswers, ProofError
from export.proof.comparison import detections
from export.settings import Settings
from export.verify import verify
from service.manifest import DetectionManifest, Precision
from service.package import ModelPackage, open_package
from tests.export.adopt.made import MADE
from tests.paths import ROOT

PHOTOS = ROOT / "docs/photos"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> AdoptionJob:
    """An adoption of a YOLOv8, with few photos."""
    folder = tmp_path_factory.mktemp("adopted")
    photos = folder / "photos"
    photos.mkdir()
    for path in find_photos(PHOTOS)[:2]:
        (photos / path.name).symlink_to(path)
    made = next(made for made in MADE if made.name == "yolov8")
    return AdoptionJob(made.write(folder), folder / "store/made/1", photos)


@pytest.fixture(scope="module")
def package(job: AdoptionJob) -> ModelPackage:
    with written_aside(job.output) as folder:
        adopt(job, folder)
    return open_package(job.output)


def test_package_says_what_it_was_made_of(job: AdoptionJob, package: ModelPackage) -> None:
    manifest = package.manifest
    assert isinstance(manifest, DetectionManifest)
    assert manifest.provenance.weights_file == "yolov8.onnx"
    assert manifest.provenance.licence == "AGPL-3.0 License"
    assert manifest.provenance.adopted is not None
    assert manifest.provenance.adopted.decoder == "yolov8"
    assert manifest.provenance.adopted.batch == "rewritten"
    assert "resize" in manifest.provenance.adopted.assumed
    assert manifest.parity.reference == "foreign_onnx"
    assert manifest.parity.unproven == ("pre-processing",)
    assert [label.name for label in manifest.labels] == ["cat", "dog", "owl"]
    page = (job.output / "report.html").read_text()
    assert "AGPL-3.0 License" in page
    assert "Unproven: pre-processing" in page


def test_package_passes_every_check(job: AdoptionJob, package: ModelPackage) -> None:
    failed = [check for check in verify(job.output, job.photos) if check.passed is False]
    assert failed == []


@pytest.mark.parametrize("name", ["yolov8_nms", "rt_detr", "yolov8_one_class"])
def test_file_that_never_finds_much_passes_every_check(
    job: AdoptionJob, tmp_path: Path, name: str
) -> None:
    """It suppresses beneath a score of its own, gives each box one label alone, or has one class
    and few places."""
    made = next(made for made in MADE if made.name == name)
    own = AdoptionJob(made.write(tmp_path), tmp_path / "store/made/1", job.photos)
    with written_aside(own.output) as folder:
        adopt(own, folder)
    assert [check for check in verify(own.output, own.photos) if check.passed is False] == []


def owner_with(job: AdoptionJob, package: ModelPackage, settings: Settings) -> OwnerAnswers:
    """The answers of an owner who makes a photo an input by other ``settings``."""
    plan = plan_of(replace(job, given=Given(preprocessing=settings)))
    manifest = package.manifest.model_copy(update={"input": plan.input})
    photos = find_photos(job.photos)
    found = detections(ModelPackage(manifest, ForeignSession(plan)), photos, 0.05, 0.5)
    return OwnerAnswers("user_results", "results.json", tuple(photos), tuple(found))


def test_owners_answers_prove_the_pre_processing(
    job: AdoptionJob, package: ModelPackage, tmp_path: Path
) -> None:
    owner = owner_with(job, package, Settings())
    with written_aside(tmp_path / "store/made/1") as folder:
        manifest = adopt(job, folder, owner)
    assert manifest.parity.reference == "user_results"
    assert manifest.parity.unproven is None
    assert manifest.parity.graph is not None
    assert manifest.parity.graph.reference == "foreign_onnx"


def test_pre_processing_that_is_not_the_owners_is_named(
    job: AdoptionJob, package: ModelPackage, tmp_path: Path
) -> None:
    owner = owner_with(job, package, Settings(mean=(0.5,) * 3, std=(0.5,) * 3))
    output = tmp_path / "store/made/1"
    with (
        pytest.raises(ProofError, match=r"normalisation: with --mean 0\.5 0\.5 0\.5 --std 0\.5"),
        written_aside(output) as folder,
    ):
        adopt(job, folder, owner)
    assert not output.exists()


def test_accuracy_of_nothing_refuses_the_package(job: AdoptionJob, tmp_path: Path) -> None:
    """A seeded network finds no object where there is one: as a wrong decoder would."""
    annotations = tmp_path / "instances.json"
    names = [path.name for path in find_photos(job.photos)]
    annotations.write_text(coco_of(names, job.photos))
    measured = replace(job, evaluation=EvaluationSet(job.photos, annotations))
    with (
        pytest.raises(AccuracyError, match=r"ap50 is 0\.0\d\d, under 0\.1: .* --dry-run"),
        written_aside(tmp_path / "store/made/1") as folder,
    ):
        adopt(measured, folder)


def coco_of(names: list[str], folder: Path) -> str:
    import json

    from PIL import Image

    images = []
    for number, name in enumerate(names, 1):
        with Image.open(folder / name) as photo:
            width, height = photo.size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
    categories = [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "owl"))]
    rows = [
        {"id": i["id"], "image_id": i["id"], "category_id": 0, "bbox": [3, 3, 7, 9], "area": 63}
        for i in images
    ]
    return json.dumps({"images": images, "annotations": rows, "categories": categories})


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_network_inside_a_loop_is_not_converted(
    photo_by_photo: Path, tmp_path: Path, precision: Precision
) -> None:
    job = ConversionJob(photo_by_photo, precision, tmp_path / "store/x/1", PHOTOS)
    with pytest.raises(ConversionError, match=r"1: stays in fp32: its layers are inside a loop"):
        convert(job)


@pytest.fixture(scope="module")
def photo_by_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a file that takes one photo and suppresses by itself."""
    made = next(made for made in MADE if made.batching == "scan")
    folder = tmp_path_factory.mktemp("scan")
    job = AdoptionJob(made.write(folder), folder / "store/made/1", PHOTOS)
    with written_aside(job.output) as aside:
        adopt(job, aside)
    return job.output
