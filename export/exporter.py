"""Checkpoint -> model package: the steps, and the one place that writes a package."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path

import onnxruntime as ort
from torch import nn

from export.accuracy import detector_accuracy
from export.graph import build_graph
from export.label_files import KNOWN
from export.onnx_file import OPSET, describe, to_onnx
from export.parity import check_classifier, check_detector
from export.photos import read_photos
from models.variants import VARIANTS, Variant, at_size, find_variant
from models.weights import CheckpointError, Recognised, count_classes, load_checkpoint, load_into
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    NAME_PATTERN,
    VERSION_PATTERN,
    Activation,
    ClassificationDefaults,
    DetectionDefaults,
    InputSpec,
    Label,
    ModelManifest,
    Provenance,
    Task,
)
from service.package import open_package

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")
DEFAULTS: dict[Task, DetectionDefaults | ClassificationDefaults] = {
    "detection": DetectionDefaults(score_threshold=0.3, iou_threshold=0.5, max_detections=100),
    "classification": ClassificationDefaults(top_k=5),
}


class ExportError(Exception):
    """An export that cannot be done; the message says why."""


@dataclass(frozen=True)
class EvaluationSet:
    """A COCO instances file, and the folder that holds its photos."""

    annotations: Path
    images: Path


@dataclass(frozen=True)
class ExportJob:
    """What to export, and where to.

    output: ``…/<name>/<version>``, which name the package; must not exist yet.
    labels: of the classes in the network's order, for a checkpoint that does not hold them.
    photos: folder of real photos for the parity gate.
    input_size: side of the input in pixels where it is not to be the architecture's own; of inputs
        whose size varies, the shorter side.
    multi_label: whether an image may be of several classes, for a classifier trained so.
    """

    architecture: str
    weights: Path
    output: Path
    photos: Path
    licence: str
    labels: tuple[Label, ...] | None = None
    evaluation: EvaluationSet | None = None
    input_size: int | None = None
    multi_label: bool = False


def export(
    job: ExportJob,
    on_step: Callable[[str], None] = lambda step: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ModelManifest:
    """Write the package, or nothing.

    Raises ExportError, CheckpointError, PhotoError, ParityError or PackageError.
    """
    variant = _find_variant(job)
    name, version_ = job.output.parent.name, job.output.name
    if not re.fullmatch(NAME_PATTERN, name) or not re.fullmatch(VERSION_PATTERN, version_):
        raise ExportError(
            f"{job.output}: the last two parts name the package, such as pets/1:"
            " small letters, digits and _.- in the name, a whole number for the version"
        )
    if job.output.exists():
        raise ExportError(f"{job.output} exists; a changed model needs a new version")
    on_step(f"reading {job.weights}")
    network, labels, recognised = _load(job, variant)
    on_step(f"loaded {recognised}")
    spec = InputSpec(**asdict(variant.input))
    photos = [photo.pixels for photo in read_photos(job.photos, spec)]
    graph = build_graph(network, variant.input, job.multi_label)
    on_step("tracing the graph")
    model = to_onnx(variant, graph)
    content = model.SerializeToString()
    on_step(f"comparing ONNX Runtime with PyTorch on {len(photos)} photos")
    check = check_detector if variant.task == "detection" else check_classifier
    parity = check(graph, ort.InferenceSession(content), photos, on_progress)
    manifest = ModelManifest(
        name=name,
        version=version_,
        task=variant.task,
        labels=labels,
        input=spec,
        defaults=DEFAULTS[variant.task],
        activation=_activation(job, variant),
        inputs=describe(model.graph.input),
        outputs=describe(model.graph.output),
        opset=OPSET,
        precision="fp32",
        sha256=hashlib.sha256(content).hexdigest(),
        provenance=Provenance(
            architecture=job.architecture,
            weights_file=job.weights.name,
            weights_sha256=hashlib.sha256(job.weights.read_bytes()).hexdigest(),
            licence=job.licence,
            tools={tool: version(tool) for tool in TOOLS},
        ),
        parity=parity,
    )
    return _write(job, manifest, content, on_step, on_progress)


def _find_variant(job: ExportJob) -> Variant:
    """The architecture's row, at the size that is asked for."""
    try:
        variant = find_variant(job.architecture)
    except KeyError:
        close = get_close_matches(job.architecture, VARIANTS, n=5) or VARIANTS
        raise ExportError(f"there is no {job.architecture}; choose of {', '.join(close)}") from None
    if job.multi_label and variant.task != "classification":
        raise ExportError(f"{job.architecture} is a detector; multi-label is for classifiers")
    return variant if job.input_size is None else at_size(variant, job.input_size)


def _activation(job: ExportJob, variant: Variant) -> Activation | None:
    if variant.task == "detection":
        return None
    return "sigmoid" if job.multi_label else "softmax"


def _load(job: ExportJob, variant: Variant) -> tuple[nn.Module, tuple[Label, ...], Recognised]:
    """The trained network, its labels, and what its checkpoint was recognised as."""
    checkpoint = load_checkpoint(job.weights)
    if checkpoint.architecture not in (None, job.architecture):
        raise CheckpointError(
            f"{job.weights} is of {checkpoint.architecture}, not {job.architecture}"
        )
    labels = job.labels
    if labels is None and checkpoint.labels is not None:
        labels = tuple(Label(id=i, name=name) for i, name in checkpoint.labels)
    if labels is None:
        count = count_classes(variant.build(1), checkpoint.state)
        classes = "classes" if count is None else f"{count} classes"
        raise ExportError(
            f"{job.weights} does not name its {classes}; pass --labels with a file of one name a"
            f" line, or {', '.join(KNOWN)}"
        )
    network = variant.build(len(labels))
    return network, labels, load_into(network, checkpoint.state, str(job.weights))


def _write(
    job: ExportJob,
    manifest: ModelManifest,
    content: bytes,
    on_step: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> ModelManifest:
    """Write the package aside, measure it as the service would run it, and move it into place."""
    store = job.output.parent.parent
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=store) as aside:
        folder = Path(aside) / manifest.name / manifest.version
        folder.mkdir(parents=True)
        (folder / GRAPH_FILE).write_bytes(content)
        manifest.write(folder / MANIFEST_FILE)
        package = open_package(folder, threads=0)
        if job.evaluation is not None and manifest.task == "detection":
            on_step(f"measuring AP on {job.evaluation.annotations}")
            accuracy = detector_accuracy(
                package, job.evaluation.annotations, job.evaluation.images, on_progress
            )
            manifest = manifest.model_copy(update={"accuracy": accuracy})
            manifest.write(folder / MANIFEST_FILE)
        job.output.parent.mkdir(exist_ok=True)
        shutil.move(folder, job.output)
    return manifest
