"""Checkpoint -> model package, step by step."""

import hashlib
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import onnx

from export.errors import ExportError
from export.evaluation.figures import measure_accuracy
from export.evaluation.photo_set import EvaluationSet, find_photos
from export.onnx.trace import OPSET, describe, to_onnx
from export.package_writer import finish_package, write_package, written_aside
from export.parity.bisection import located
from export.parity.comparison import TOLERANCES
from export.parity.gate import check_parity
from export.parity.layers import torch_layers
from export.parity.model import TorchSession, onnx_model, open_quietly, torch_model
from export.progress import SILENT, ProgressReporter
from export.proof.alternatives import Alternative, usual
from export.proof.answers import OwnerAnswers, ProofError
from export.proof.comparison import Disagreement, check_network, prove
from export.proof.explanation import explain
from export.proof.owner import Owner
from export.settings import NONE_STATED, Settings
from export.trained_model import TrainedModel, load_model
from models.checkpoint_file import find_weights
from models.variants import Variant, siblings_of
from service.imaging.files import read_photo
from service.manifest import Label, ModelManifest
from service.package import ModelPackage, open_package
from service.provenance import GraphParity, Provenance

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportJob:
    """A checkpoint to export, and where to.

    output: ``…/<name>/<version>``, which name the package; must not exist yet.
    labels: of the classes in the network's order, for a checkpoint that does not hold them.
    photos: folder of real photos for the parity gate.
    settings: what the model is run with, where it is not the architecture's or in the checkpoint.
    owner: whose answers the package is to give; None to compare with our own network alone.
    calibrate: whether scores get the temperature that fits ``evaluation``, if they are then nearer
        to how often they are right.
    """

    architecture: str
    weights: Path
    output: Path
    photos: Path
    licence: str
    labels: tuple[Label, ...] | None = None
    evaluation: EvaluationSet | None = None
    settings: Settings = NONE_STATED
    owner: Owner | None = None
    calibrate: bool = False


def export(job: ExportJob, progress: ProgressReporter = SILENT) -> ModelManifest:
    """Write the package with its report, or nothing.

    Raises ExportError, OutputError, CheckpointError, PhotoError, GraphError, ParityError,
    ProofError or PackageError.
    """
    with written_aside(job.output) as folder:  # first, so that a bad output is found at once
        progress.step(f"reading {job.weights}")
        model = load_model(job.architecture, job.weights, job.settings, job.labels)
        if job.owner is None:
            model.require_convention()
        if ignored := model.checkpoint.ignored:
            more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
            progress.step(f"left out, beside the network: {', '.join(ignored[:3])}{more}")
        progress.step(f"loaded {model.recognised}")
        progress.table("what the package is made with", model.rows())
        variant = model.variant
        paths = find_photos(job.photos, progress.step)
        photos = [read_photo(path, variant.input).pixels for path in paths]
        _check_evaluation(job, variant, model.labels)
        if job.calibrate:
            model = _calibrated(model, job, progress)
        owner = None
        if job.owner is not None:  # before the minutes that the graph takes
            progress.step(f"{job.owner} about {len(paths)} photos")
            owner = job.owner.answers(variant.task, model.labels, paths, progress.update)
            progress.step(f"comparing the network with {owner.among(paths)}")
            _prove_network(owner, model, progress)
        progress.step("tracing the graph")
        onnx_graph = to_onnx(variant, model.graph)
        content = onnx_graph.SerializeToString()
        progress.step(f"comparing the graph with Boxport's own network on {len(photos)} photos")
        layers = partial(torch_layers, variant, model.graph)
        with located(layers, onnx_graph, "fp32", progress.step):
            parity = check_parity(
                variant.task,
                torch_model(model.graph),
                onnx_model(open_quietly(onnx_graph)),
                photos,
                TOLERANCES["fp32"],
                progress.update,
            )
        manifest = _manifest(job, model, onnx_graph, hashlib.sha256(content).hexdigest(), parity)
        write_package(folder, content, manifest)
        if owner is not None:
            progress.step(f"comparing the package with {owner.name}, from the photos' files on")
            opened = open_package(folder, threads=0)
            proven = prove(owner, opened, parity, progress.update, model.package())
            manifest = manifest.model_copy(update={"parity": proven})
            write_package(folder, content, manifest)
        reference = ModelPackage(manifest, TorchSession(model.graph))
        return finish_package(
            folder,
            reference,
            paths,
            job.evaluation,
            progress=progress,
            choose_threshold=model.settings.score_threshold is None,
        )


def _prove_network(owner: OwnerAnswers, model: TrainedModel, progress: ProgressReporter) -> None:
    """Raise ProofError, with what explains it best, unless the network answers as its owner's."""
    package = model.package()
    try:
        check_network(owner, package, progress.update)
    except Disagreement as error:
        remembering = model.remembering()

        def reopen(alternative: Alternative) -> ModelPackage | None:
            other = remembering.other(alternative)
            return None if other is None else other.package()

        siblings = siblings_of(model.architecture)
        alternatives = usual(package.manifest, model.anchors, siblings, model.proposes)
        package = remembering.package()
        said = explain(owner, package, error.tally, reopen, alternatives, progress)
        raise ProofError(f"{error}. {said}") from error


def _calibrated(model: TrainedModel, job: ExportJob, progress: ProgressReporter) -> TrainedModel:
    """``model`` at the temperature that suits it best (`Judged.best_temperature`), or as it is."""
    if job.evaluation is None or model.variant.task != "detection" or job.owner is not None:
        raise ExportError(
            "calibration is for a detector and takes --annotations; with --reference or --expect"
            " the scores are to stay as they are"
        )
    progress.step(f"calibrating scores on {job.evaluation.path}")
    photos = job.evaluation.read(model.labels)
    _, judged = measure_accuracy(model.package(), photos, progress.update)
    before = None if judged is None else judged.calibration_error()
    if judged is None or before is None:
        return model
    temperature = judged.best_temperature()
    after = judged.at_temperature(temperature).calibration_error()
    if after is None or after >= before:
        progress.step(f"scores stay as they are: no temperature lowers their error, {before:.3f}")
        return model
    progress.step(f"temperature {temperature:g}: calibration error {before:.3f} -> {after:.3f}")
    return model.tempered(temperature)


def _manifest(
    job: ExportJob,
    trained: TrainedModel,
    model: onnx.ModelProto,
    sha256: str,
    parity: GraphParity,
) -> ModelManifest:
    weights = find_weights(job.weights)
    return trained.manifest(
        name=job.output.parent.name,
        version=job.output.name,
        inputs=describe(model.graph.input),
        outputs=describe(model.graph.output),
        opset=OPSET,
        precision="fp32",
        sha256=sha256,
        provenance=Provenance(
            architecture=job.architecture,
            weights_file=weights.name,
            weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
            licence=job.licence,
            tools={tool: version(tool) for tool in TOOLS},
            settings=trained.settings.as_texts() or None,
        ),
        parity=parity,
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
