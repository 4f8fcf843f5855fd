"""float32 package -> package in lower precision, step by step."""

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from export.errors import ExportError
from export.evaluation.photo_set import EvaluationSet, find_photos, spread
from export.onnx.checks import check_graph, graphs_of
from export.onnx.nodes import is_weighted
from export.onnx.trace import describe
from export.package_writer import finish_package, write_package, written_aside
from export.parity.bisection import located
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import check_parity
from export.parity.layers import onnx_layers
from export.parity.model import onnx_model, open_quietly, to_feeds
from export.precision import CALIBRATION_PHOTOS
from export.precision.bias_correction import rounding_shifts
from export.precision.calibration import METHODS, Calibration, calibrate
from export.precision.fidelity import classifier_fidelity, detector_fidelity
from export.precision.half import to_half
from export.precision.preparation import prepare
from export.precision.quantisation import Quantiser, layers, quantised_values
from export.precision.sensitivity import search
from export.progress import SILENT, ProgressReporter
from service.imaging.files import read_photo
from service.imaging.resize import ModelInput
from service.manifest import GRAPH_FILE, ModelManifest, Precision
from service.package import open_package
from service.provenance import Conversion

FEWEST_PHOTOS = 4


class ConversionError(ExportError):
    """A package that cannot be converted; the message says why and what to do."""


@dataclass(frozen=True)
class ConversionJob:
    """A package to convert, and where to.

    package: folder of a float32 package. output: ``…/<name>/<version>``; must not exist yet.
    photos: folder of real photos like those that the model will see.
    calibration: how ranges are found; None tries every way and takes the best.
    search: whether layers that lose much are looked for, and kept in float.
    evaluation: what to measure accuracy on.
    """

    package: Path
    precision: Precision
    output: Path
    photos: Path
    calibration: Calibration | None = None
    search: bool = True
    most_photos: int = CALIBRATION_PHOTOS
    evaluation: EvaluationSet | None = None


def convert(job: ConversionJob, progress: ProgressReporter = SILENT) -> ModelManifest:
    """Write the package with its report, or nothing.

    Raises ConversionError, OutputError, PackageError, PhotoError, GraphError or ParityError.
    """
    with written_aside(job.output) as folder:  # first, so that a bad output is found at once
        source = open_package(job.package, threads=0)
        manifest = source.manifest
        if manifest.precision != "fp32":
            raise ConversionError(
                f"{job.package} is in {manifest.precision}; convert the fp32 package it was made"
                " from"
            )
        paths = spread(find_photos(job.photos, progress.step), job.most_photos)
        photos = [read_photo(path, manifest.input) for path in paths]
        model = onnx.load(job.package / GRAPH_FILE, load_external_data=False)
        _, *bodies = graphs_of(model.graph)
        if any(is_weighted(node) for body in bodies for node in body.node):
            raise ConversionError(
                f"{job.package}: stays in fp32: its layers are inside a loop, an R-CNN's over"
                " regions; of a file that takes photo by photo, adopt one whose batch is dynamic"
            )
        if job.precision == "int8":
            converted, how = _to_int8(job, manifest, model, photos, progress)
        elif job.precision == "fp16":
            progress.step("rounding the network to float16")
            converted, how = to_half(model), {}
        else:
            raise ConversionError(
                f"no package in {job.precision}: ONNX Runtime's CPUExecutionProvider has no"
                " convolution in it; int8 and fp16 are written"
            )
        check_graph(converted, manifest.opset)
        content = converted.SerializeToString()
        progress.step(f"comparing {job.precision} with fp32 on {len(photos)} photos")
        reference = partial(onnx_layers, model, "fp32")
        with _advice(job), located(reference, converted, job.precision, progress.step):
            parity = check_parity(
                manifest.task,
                onnx_model(source.session, "fp32"),
                onnx_model(open_quietly(converted), job.precision),
                [photo.pixels for photo in photos],
                TOLERANCES[job.precision],
                progress.update,
                kind="float32_package",
            )
        conversion = Conversion(
            package=f"{manifest.name}/{manifest.version}", sha256=manifest.sha256, **how
        )
        update = {
            "name": job.output.parent.name,
            "version": job.output.name,
            "precision": job.precision,
            "inputs": describe(converted.graph.input),
            "outputs": describe(converted.graph.output),
            "sha256": hashlib.sha256(content).hexdigest(),
            "provenance": manifest.provenance.model_copy(update={"converted": conversion}),
            "parity": parity,
            "accuracy": None,
        }
        write_package(folder, content, manifest.model_copy(update=update))
        return finish_package(folder, source, paths, job.evaluation, [job.package], progress)


@contextlib.contextmanager
def _advice(job: ConversionJob) -> Iterator[None]:
    """Say with a ParityError what may yet make a package that passes."""
    try:
        yield
    except ParityError as error:
        if job.precision == "int8" and (job.calibration is not None or not job.search):
            advice = "leave --method and --no-search out: every way is tried then"
        else:
            more = "give more photos of what it will see (--most-photos), or "
            advice = f"{more if job.precision == 'int8' else ''}serve {job.package} as it is"
        error.args = (f"{error}; {advice}",)
        raise


def _to_int8(
    job: ConversionJob,
    manifest: ModelManifest,
    model: onnx.ModelProto,
    photos: Sequence[ModelInput],
    progress: ProgressReporter,
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph in 8 bits, and how it was made: fields of `Conversion`."""
    if len(photos) < FEWEST_PHOTOS:
        raise ConversionError(
            f"{job.photos}: {len(photos)} photos are too few to find ranges on;"
            f" give {CALIBRATION_PHOTOS} or so, at least {FEWEST_PHOTOS}"
        )
    with _silence():
        prepared = prepare(model, manifest.input)
        if manifest.task == "detection":
            fidelity = detector_fidelity(manifest, model, photos)
        else:
            fidelity = classifier_fidelity(model, photos)
        feeds = [to_feeds(manifest, [photo.pixels], score_threshold=0.0) for photo in photos]
        shifts, values = rounding_shifts(prepared, feeds), quantised_values(prepared)
        results = []
        for calibration in METHODS if job.calibration is None else (job.calibration,):
            progress.step(f"finding ranges on {len(photos)} photos: {calibration}")
            ranges = calibrate(prepared, values, feeds, calibration, progress.update)
            quantiser = Quantiser(prepared, ranges, shifts)
            results.append((calibration, quantiser, fidelity(quantiser.quantise())))
        calibration, quantiser, reached = max(results, key=lambda result: result[2])
        in_float: tuple[str, ...] = ()
        if job.search:
            progress.step("looking for layers that lose much in 8 bits")
            found = search(quantiser, fidelity, reached, progress.update)
            in_float, reached = found.in_float, found.fidelity
        groups = layers(prepared)
        converted = quantiser.quantise([node for group in in_float for node in groups[group]])
    onnx.checker.check_model(converted, full_check=True)
    kept = f", {', '.join(in_float)} in float" if in_float else ""
    progress.step(f"fidelity {reached:.3f} with {calibration}{kept}")
    return converted, {
        "calibration": str(calibration),
        "photos": len(photos),
        "in_float": in_float,
        "fidelity": reached,
    }


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress what ONNX Runtime's quantisation prints and logs."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
