"""Checkpoint -> model package, step by step."""

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from torch import nn

from export.errors import ExportError
from export.evaluation.photo_set import EvaluationSet, find_photos
from export.labels import KNOWN
from export.onnx.graph import build_graph
from export.onnx.trace import OPSET, describe, to_onnx
from export.package_writer import finish_package, write_package, written_aside
from export.parity.bisection import located
from export.parity.comparison import TOLERANCES
from export.parity.gate import check_parity
from export.parity.layers import torch_layers
from export.parity.model import TorchSession, onnx_model, torch_model
from export.progress import SILENT, ProgressReporter
from models.checkpoint_file import CheckpointError
from models.checkpoints import Checkpoint, load_checkpoint
from models.variants import VARIANTS, Variant, at_size, find_variant
from models.weights import MisfitError, Recognised, count_classes, load_into
from service.imaging.files import read_photo
from service.manifest import (
    ClassificationDefaults,
    ClassificationManifest,
    DetectionDefaults,
    DetectionManifest,
    Label,
    ModelManifest,
    Parity,
    Provenance,
)
from service.package import ModelPackage

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")
DETECTION_DEFAULTS = DetectionDefaults(score_threshold=0.3, iou_threshold=0.5, max_detections=100)
TOP_K = 5


@dataclass(frozen=True)
class ExportJob:
    """A checkpoint to export, and where to.

    output: ``…/<name>/<version>``, which name the package; must not exist yet.
    labels: of the classes in the network's order, for a checkpoint that does not hold them.
    photos: folder of real photos for the parity gate.
    input_size: side of the input in pixels, None for the architecture's own; of inputs whose size
        varies, the shorter side.
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


def export(job: ExportJob, progress: ProgressReporter = SILENT) -> ModelManifest:
    """Write the package with its report, or nothing.

    Raises ExportError, OutputError, CheckpointError, PhotoError, GraphError, ParityError or
    PackageError.
    """
    variant = _find_variant(job)
    with written_aside(job.output) as folder:  # first, so that a bad output is found at once
        progress.step(f"reading {job.weights}")
        network, labels, recognised = _load(job, variant, progress)
        progress.step(f"loaded {recognised}")
        paths = find_photos(job.photos, progress.step)
        photos = [read_photo(path, variant.input).pixels for path in paths]
        _check_evaluation(job, variant, labels)
        graph = build_graph(network, variant.input, job.multi_label)
        progress.step("tracing the graph")
        model = to_onnx(variant, graph)
        content = model.SerializeToString()
        progress.step(f"comparing the graph with Boxport's own network on {len(photos)} photos")
        with located(lambda: torch_layers(variant, graph), model, "fp32", progress.step):
            parity = check_parity(
                variant.task,
                torch_model(graph),
                onnx_model(ort.InferenceSession(content)),
                photos,
                TOLERANCES["fp32"],
                progress.update,
            )
        digest = hashlib.sha256(content).hexdigest()
        manifest = _manifest(job, variant, labels, model, digest, parity)
        write_package(folder, content, manifest)
        reference = ModelPackage(manifest, TorchSession(graph))
        return finish_package(folder, reference, paths, job.evaluation, progress=progress)


def _manifest(
    job: ExportJob,
    variant: Variant,
    labels: tuple[Label, ...],
    model: onnx.ModelProto,
    sha256: str,
    parity: Parity,
) -> ModelManifest:
    content: dict[str, Any] = {
        "name": job.output.parent.name,
        "version": job.output.name,
        "labels": labels,
        "input": variant.input,
        "inputs": describe(model.graph.input),
        "outputs": describe(model.graph.output),
        "opset": OPSET,
        "precision": "fp32",
        "sha256": sha256,
        "provenance": Provenance(
            architecture=job.architecture,
            weights_file=job.weights.name,
            weights_sha256=hashlib.sha256(job.weights.read_bytes()).hexdigest(),
            licence=job.licence,
            tools={tool: version(tool) for tool in TOOLS},
        ),
        "parity": parity,
    }
    if variant.task == "detection":
        return DetectionManifest(defaults=DETECTION_DEFAULTS, **content)
    return ClassificationManifest(
        defaults=ClassificationDefaults(top_k=min(TOP_K, len(labels))),
        activation="sigmoid" if job.multi_label else "softmax",
        **content,
    )


def _check_evaluation(job: ExportJob, variant: Variant, labels: tuple[Label, ...]) -> None:
    """Raise ExportError or PhotoError now, rather than after the minutes that the gate takes."""
    if job.evaluation is None:
        return
    if (job.evaluation.annotations is not None) != (variant.task == "detection"):
        raise ExportError(
            f"{job.architecture} is for {variant.task}: accuracy takes --annotations and --images"
            " of a detector, --images alone of a classifier"
        )
    job.evaluation.read(labels)


def _find_variant(job: ExportJob) -> Variant:
    """The architecture's row, at the job's input size."""
    try:
        variant = find_variant(job.architecture)
    except KeyError:
        close = get_close_matches(job.architecture, VARIANTS, n=3, cutoff=0)
        raise ExportError(
            f"there is no {job.architecture}; the nearest are {', '.join(close)}, and"
            " `python -m models` lists all"
        ) from None
    if job.multi_label and variant.task != "classification":
        raise ExportError(f"{job.architecture} is a detector; multi-label is for classifiers")
    return variant if job.input_size is None else at_size(variant, job.input_size)


def _load(
    job: ExportJob, variant: Variant, progress: ProgressReporter
) -> tuple[nn.Module, tuple[Label, ...], Recognised]:
    """The trained network, its labels, and what its checkpoint was recognised as."""
    checkpoint = load_checkpoint(job.weights, job.architecture)
    if checkpoint.ignored:
        progress.step(f"left out, beside the network: {', '.join(checkpoint.ignored)}")
    labels = job.labels
    if labels is None and checkpoint.labels is not None:
        labels = tuple(Label(id=i, name=name) for i, name in checkpoint.labels)
    if labels is None:
        count = count_classes(variant.build(1), checkpoint.state)
        # raises if the checkpoint is of another architecture, whatever its labels
        _fill(variant.build(count or 1), checkpoint, job)
        raise ExportError(
            f"{job.weights} does not name its {count} classes; pass --labels with a file of one"
            f" name a line, or {', '.join(KNOWN)}"
        )
    names = [label.name for label in labels]
    if variant.task == "detection" and len(set(names)) < len(names):
        raise ExportError(
            f"{job.weights}: two classes are called {max(names, key=names.count)!r}, and requests"
            " choose by name; pass --labels with a file of one name a line that all differ"
        )
    if variant.task == "classification" and len(labels) == 1 and not job.multi_label:
        raise ExportError(
            f"{job.weights} has one output, whose share of one (softmax) is 1 for every photo; if"
            " it is the logit of yes or no, pass --multi-label (sigmoid) and the label of yes"
        )
    network = variant.build(len(labels))
    recognised = _fill(network, checkpoint, job)
    if job.architecture.startswith("tf_") and recognised.family.startswith("torchvision"):
        raise CheckpointError(
            f"{job.weights} has torchvision's names, and {job.architecture} computes as TensorFlow"
            f" does: export it as {job.architecture.removeprefix('tf_')}"
        )
    return network, labels, recognised


def _fill(network: nn.Module, checkpoint: Checkpoint, job: ExportJob) -> Recognised:
    try:
        return load_into(network, checkpoint.state, str(job.weights))
    except MisfitError as error:
        raise CheckpointError(
            f"{error}; is it of another architecture? `python -m models` lists them"
        ) from error
