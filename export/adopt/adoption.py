"""ONNX file -> model package, step by step."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from export.adopt.batch import Batching, batched
from export.adopt.build import build
from export.adopt.decoders import DECODERS
from export.adopt.decoders.row import Given
from export.adopt.finder import propose
from export.adopt.foreign import Layout, read_foreign
from export.adopt.plan import Finding, Plan
from export.adopt.prove import ForeignSession, prove
from export.adopt.safety import ForeignError
from export.errors import ExportError
from export.evaluation.photo_set import EvaluationSet, find_photos
from export.onnx.trace import OPSET, describe
from export.package_writer import finish_package, write_package
from export.parity.model import onnx_model, open_quietly
from export.progress import SILENT, ProgressReporter
from export.proof.alternatives import Alternative, usual
from export.proof.answers import OwnerAnswers, ProofError
from export.proof.comparison import Disagreement
from export.proof.comparison import prove as compare_with_owner
from export.proof.explanation import explain
from export.report.examples import answers_of
from export.settings import SettingsError
from service.imaging.files import read_image, read_photo
from service.inference.task import Row
from service.manifest import (
    ClassificationDefaults,
    ClassificationManifest,
    DetectionManifest,
    Label,
    ModelManifest,
    Task,
)
from service.package import ModelPackage, open_package
from service.provenance import Adoption, Parity, Provenance
from service.runtime.graph_facts import precision_of

TOOLS = ("onnx", "onnxscript", "onnxruntime")
TOP_K = 5
BATCHES: dict[Batching, str] = {
    "dynamic": "the file takes any batch",
    "rewritten": "the file takes one photo; rewritten for any batch, with the same answers",
    "scan": "the file takes one photo and could not be rewritten: batches run photo by photo, on"
    " one thread each, which costs up to half of the speed",
}


class AccuracyError(ExportError):
    """A package whose accuracy is too low for its decoder and pre-processing to be right."""


@dataclass(frozen=True)
class AdoptionJob:
    """An ONNX file to adopt, and where to.

    output: ``…/<name>/<version>``, which name the package; must not exist yet.
    outputs, layout, size: of the file, see `read_foreign`. given: what the user decides.
    licence: of the weights, None for what the metadata says.
    photos: folder of real photos to compare on.
    least_ap: AP50 that the package must have on ``evaluation``; a wrong decoder or pre-processing
        has next to none.
    """

    file: Path
    output: Path
    photos: Path
    labels: tuple[Label, ...] | None = None
    licence: str | None = None
    outputs: tuple[str, ...] = ()
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    given: Given = field(default_factory=Given)
    evaluation: EvaluationSet | None = None
    least_ap: float = 0.1


def plan_of(job: AdoptionJob) -> Plan:
    """What the package would be made of. Raises ForeignError."""
    cut = {kind for row in DECODERS.values() for kind in row.cuts}
    file = read_foreign(job.file, cut, job.outputs, job.layout, job.size)
    return propose(file, job.given, job.labels, job.licence)


@dataclass(frozen=True)
class Proposal:
    """What was found out of a file, for people, and for whoever else is asked about its photos."""

    findings: tuple[Finding, ...]
    task: Task
    labels: tuple[Label, ...]


def find_out(job: AdoptionJob, progress: ProgressReporter = SILENT) -> Proposal:
    """What the package would be made of. Raises ForeignError."""
    plan = plan_of(job)
    return Proposal(plan.findings, plan.decoder.task, plan.labels)


def adopt(
    job: AdoptionJob,
    folder: Path,
    owner: OwnerAnswers | None = None,
    progress: ProgressReporter = SILENT,
) -> ModelManifest:
    """Write the package with its report into ``folder``, whose last parts are those of the output.

    owner: whose answers to the photos the package must give, from the photos' files on.

    Raises ForeignError, PhotoError, GraphError, ParityError, ProofError, AccuracyError or
    PackageError.
    """
    plan = plan_of(job)
    paths = find_photos(job.photos, progress.step)
    photos = [read_photo(path, plan.input).pixels for path in paths]
    progress.step("making its batch dynamic")
    network, batching = batched(plan.foreign, plan.match)
    progress.step(BATCHES[batching])
    model = build(plan, network, batching)
    content = model.SerializeToString()
    progress.step(f"comparing the package with the untouched file on {len(photos)} photos")
    parity: Parity = prove(plan, onnx_model(open_quietly(model)), photos, progress.update)
    if job.evaluation is not None:  # which shows what the comparison does not
        parity = parity.model_copy(update={"unproven": None})
    manifest = manifest_of(job, plan, model, content, parity, batching)
    write_package(folder, content, manifest)
    if owner is not None:
        progress.step(f"comparing the package with {owner.among(paths)}, from their files on")
        proven = prove_to_owner(job, plan, owner, open_package(folder, threads=0), progress)
        manifest = manifest.model_copy(update={"parity": proven})
        write_package(folder, content, manifest)
    reference = ModelPackage(manifest, ForeignSession(plan))
    manifest = finish_package(folder, reference, paths, job.evaluation, progress=progress)
    if manifest.accuracy is not None:
        _check_accuracy(job, manifest)
    return manifest


def find_in(
    folder: Path, photos: Sequence[Path], progress: ProgressReporter = SILENT
) -> list[list[Row]]:
    """What the package in ``folder`` finds in each photo, with default parameters."""
    answer = answers_of(open_package(folder, threads=0))
    return [answer(read_image(path)) for path in photos]


def prove_to_owner(
    job: AdoptionJob,
    plan: Plan,
    owner: OwnerAnswers,
    package: ModelPackage,
    progress: ProgressReporter = SILENT,
) -> Parity:
    """What the manifest says of a package that answers as its owner's model does.

    Raises ProofError, which names the pre-processing with which it would, if there is one.
    """
    graph = package.manifest.parity.model_copy(update={"unproven": None})
    try:
        return compare_with_owner(owner, package, graph, progress.update)
    except Disagreement as error:

        def reopen(alternative: Alternative) -> ModelPackage | None:
            """The untouched file, whose photos are made an input by other settings."""
            settings = alternative.settings.over(job.given.preprocessing)
            given = replace(job.given, preprocessing=settings)
            try:
                other = propose(plan.foreign, given, plan.labels, plan.licence)
            except (ForeignError, SettingsError):
                return None  # it cannot be of this file
            update = {"input": other.input, "defaults": other.defaults or package.manifest.defaults}
            return ModelPackage(package.manifest.model_copy(update=update), ForeignSession(other))

        alternatives = usual(package.manifest)
        said = explain(owner, package, error.tally, reopen, alternatives, progress, read=read_photo)
        raise ProofError(f"{error}. {said}") from error


def manifest_of(
    job: AdoptionJob,
    plan: Plan,
    model: onnx.ModelProto,
    content: bytes,
    parity: Parity,
    batching: Batching,
) -> ModelManifest:
    fields: dict[str, Any] = {
        "name": job.output.parent.name,
        "version": job.output.name,
        "labels": plan.labels,
        "input": plan.input,
        "inputs": describe(model.graph.input),
        "outputs": describe(model.graph.output),
        "opset": OPSET,
        "precision": precision_of(model),
        "sha256": hashlib.sha256(content).hexdigest(),
        "provenance": Provenance(
            architecture=plan.decoder.name,
            weights_file=job.file.name,
            weights_sha256=plan.foreign.sha256,
            licence=plan.licence,
            tools={tool: version(tool) for tool in TOOLS},
            adopted=Adoption(decoder=plan.decoder.name, batch=batching, assumed=plan.assumed),
        ),
        "parity": parity,
    }
    if plan.defaults is not None:
        return DetectionManifest(defaults=plan.defaults, floor=plan.match.floor, **fields)
    return ClassificationManifest(
        defaults=ClassificationDefaults(top_k=min(TOP_K, len(plan.labels))),
        activation=plan.match.settings["activation"],
        **fields,
    )


def _check_accuracy(job: AdoptionJob, manifest: ModelManifest) -> None:
    assert manifest.accuracy is not None
    metrics = manifest.accuracy.metrics
    name = "ap50" if manifest.task == "detection" else "top1"
    value = metrics.get(name, 0.0)
    if value < job.least_ap:
        raise AccuracyError(
            f"{job.file}: {name} is {value:.3f}, under {job.least_ap:g}: decoder, labels or"
            " pre-processing are not this file's; --dry-run shows what was assumed"
        )
