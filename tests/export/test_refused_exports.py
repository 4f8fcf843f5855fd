"""An export that cannot be, or is ended, writes nothing."""

import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from export import exporter
from export.evaluation.photo_set import EvaluationSet, PhotoSetError
from export.exporter import ExportError, ExportJob, export
from export.labels import read_labels
from export.package_writer import OutputError
from export.progress import SILENT
from export.proof.owner import Owner
from export.settings import Settings
from export.trained_model import load_model
from service.manifest import Label
from tests.paths import ROOT

SIZE = 128  # pixels of a side, a seventh of the work at the network's own


@pytest.fixture
def small_job(imagenet_weights: Path, photos: Path, tmp_path: Path) -> ExportJob:
    """A classifier of 2 MB and a photo: an export of few seconds."""
    gate = tmp_path / "gate"
    gate.mkdir()
    shutil.copy(photos / "cat.jpg", gate)
    return ExportJob(
        "efficientnet_lite0",
        imagenet_weights,
        tmp_path / "store" / "small" / "1",
        gate,
        "Apache-2.0",
        labels=read_labels("imagenet1k"),
        settings=Settings(input_size=64),
    )


@pytest.mark.full  # test_package_writer.py has it of the writer alone
def test_full_disk_leaves_nothing(small_job: ExportJob) -> None:
    """A limit on the size of files stands in for the disk's."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"there is no room for it .*free some"):
            export(small_job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not small_job.output.parent.parent.exists()


@pytest.mark.full
def test_interrupted_command_leaves_nothing(small_job: ExportJob) -> None:
    store = small_job.output.parent.parent
    options = ["--labels", "imagenet1k", "--input-size", "64", "--photos", small_job.photos]
    files = ["--weights", small_job.weights, "--output", small_job.output]
    command = [sys.executable, "-m", "export", "create", small_job.architecture, *options, *files]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "tracing the graph" in line:
            break
    assert store.exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, last = errors.strip().splitlines()
    assert last.startswith("error: interrupted; nothing unfinished is left")
    assert not store.exists()


def test_wrong_evaluation_set_is_found_before_the_long_work(
    small_job: ExportJob, checkpoint: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(exporter, "to_onnx")
    classifier = replace(small_job, evaluation=EvaluationSet(photos, photos / "truth.json"))
    with pytest.raises(ExportError, match="is for classification: accuracy takes"):
        export(classifier)
    no_folder = replace(small_job, evaluation=EvaluationSet(photos / "missing"))
    with pytest.raises(PhotoSetError, match="missing: there is no such folder"):
        export(no_folder)
    detector = replace(small_job, architecture=checkpoint.stem, weights=checkpoint, labels=None)
    detector = replace(detector, settings=Settings())
    with pytest.raises(ExportError, match="is for detection: accuracy takes"):
        export(replace(detector, evaluation=EvaluationSet(photos)))
    with pytest.raises(PhotoSetError, match=r"missing\.json"):
        export(replace(detector, evaluation=EvaluationSet(photos, photos / "missing.json")))
    assert not small_job.output.parent.parent.exists()


def test_two_classes_of_one_name_are_found_before_the_long_work(
    checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the names that torchvision gives COCO's unused ids."""
    monkeypatch.delattr(exporter, "to_onnx")
    labels = tuple(Label(id=i, name=name) for i, name in enumerate(("cat", "N/A", "cup", "N/A")))
    output = tmp_path / "store" / "things" / "1"
    job = ExportJob(checkpoint.stem, checkpoint, output, photos, "MIT", labels)
    with pytest.raises(ExportError, match=r"two classes are called 'N/A'.* pass --labels"):
        export(job)


@pytest.mark.parametrize("owner", [None, Owner(None, None, Path("results.json"), None)])
def test_what_cannot_be_calibrated_is_refused(
    checkpoint: Path, photos: Path, tmp_path: Path, owner: Owner | None
) -> None:
    evaluation = None if owner is None else EvaluationSet(photos, tmp_path / "truth.json")
    job = ExportJob(
        checkpoint.stem,
        checkpoint,
        tmp_path / "store" / "fitting" / "1",
        photos,
        "MIT",
        evaluation=evaluation,
        owner=owner,
        calibrate=True,
    )
    model = load_model(checkpoint.stem, checkpoint, Settings(input_size=SIZE))
    with pytest.raises(ExportError, match="calibration is for a detector and takes --annotations"):
        exporter._calibrated(model, job, SILENT)
