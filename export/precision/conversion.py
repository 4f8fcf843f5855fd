"""float32 package -> package in lower precision: the steps."""

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from export.evaluation.accuracy import EvaluationSet, measure_accuracy
from export.onnx.checks import check_graph
from export.onnx.trace import describe
from export.package_writer import check_output, written_aside
from export.parity import TOLERANCES, compare_classifiers, compare_detectors, onnx_model
from export.parity.bisection import located
from export.parity.layers import onnx_layers
from export.photos import find_photos
from export.precision.bias_correction import Shifts, rounding_shifts
from export.precision.calibration import METHODS, Calibration, calibrate, feeds_of
from export.precision.fidelity import Fidelity, classifier_fidelity, detector_fidelity
from export.precision.half import to_half
from export.precision.preparation import prepare
from export.precision.quantisation import OPERATORS, Quantiser, layers
from export.precision.sensitivity import search
from export.report import write_report
from service.imaging.files import read_photo
from service.imaging.resize import ModelInput
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    Conversion,
    ModelManifest,
    Precision,
)
from service.package import open_package

BFLOAT16_OPSET = 22  # from which on ONNX has a convolution in it
CALIBRATION_PHOTOS = 32
FEWEST_PHOTOS = 4

OnStep = Callable[[str], None]
OnProgress = Callable[[int, int], None]


class ConversionError(Exception):
    """A package that cannot be converted; the message says why and what to do."""


@dataclass(frozen=True)
class ConversionJob:
    """What to convert, and where to.

    package: folder of a float32 package. output: ``…/<name>/<version>``; must not exist yet.
    photos: folder of real photos like those that the model will see.
    calibration: how ranges are found; None tries every way and takes the best.
    search: whether layers that lose much are looked for, and kept in float.
    evaluation: what to measure accuracy on.
    timing_seconds: how long the report's latency is measured, for each of its settings.
    """

    package: Path
    precision: Precision
    output: Path
    photos: Path
    calibration: Calibration | None = None
    search: bool = True
    most_photos: int = CALIBRATION_PHOTOS
    evaluation: EvaluationSet | None = None
    timing_seconds: float = 1.0


def convert(
    job: ConversionJob,
    on_step: OnStep = lambda step: None,
    on_progress: OnProgress = lambda done, total: None,
) -> ModelManifest:
    """Write the package, or nothing.

    Raises ConversionError, OutputError, PackageError, PhotoError, GraphError or ParityError.
    """
    check_output(job.output)
    source = open_package(job.package, threads=0)
    manifest = source.manifest
    if manifest.precision != "fp32":
        raise ConversionError(
            f"{job.package} is in {manifest.precision}; convert the fp32 package it was made from"
        )
    paths = _spread(find_photos(job.photos, on_step), job.most_photos)
    photos = [read_photo(path, manifest.input) for path in paths]
    model = onnx.load(job.package / GRAPH_FILE)
    if job.precision == "int8":
        converted, how = _to_int8(job, manifest, model, photos, on_step, on_progress)
    elif job.precision == "fp16":
        on_step("rounding the network to float16")
        converted, how = to_half(model), {}
    else:
        raise ConversionError(_why_not(job.precision))
    check_graph(converted, manifest.opset)
    content = converted.SerializeToString()
    on_step(f"comparing {job.precision} with fp32 on {len(photos)} photos")
    compare = compare_detectors if manifest.task == "detection" else compare_classifiers
    with located(lambda: onnx_layers(model, "fp32"), converted, job.precision, on_step):
        parity = compare(
            onnx_model(source.session, "fp32"),
            onnx_model(ort.InferenceSession(content), job.precision),
            [photo.pixels for photo in photos],
            TOLERANCES[job.precision],
            on_progress,
        )
    provenance = manifest.provenance.model_copy(
        update={
            "converted": Conversion(
                package=f"{manifest.name}/{manifest.version}", sha256=manifest.sha256, **how
            )
        }
    )
    manifest = manifest.model_copy(
        update={
            "name": job.output.parent.name,
            "version": job.output.name,
            "precision": job.precision,
            "inputs": describe(converted.graph.input),
            "outputs": describe(converted.graph.output),
            "sha256": hashlib.sha256(content).hexdigest(),
            "provenance": provenance,
            "parity": parity,
            "accuracy": None,
        }
    )
    with written_aside(job.output) as folder:
        (folder / GRAPH_FILE).write_bytes(content)
        manifest.write(folder / MANIFEST_FILE)
        package = open_package(folder, threads=0)
        if job.evaluation is not None:
            on_step(f"measuring accuracy on {job.evaluation.images}")
            accuracy = measure_accuracy(package, job.evaluation, on_progress, on_step)
            manifest = manifest.model_copy(update={"accuracy": accuracy})
            manifest.write(folder / MANIFEST_FILE)
        on_step("writing the report")
        write_report(folder, paths, source, [job.package], job.timing_seconds)
    return manifest


def _to_int8(
    job: ConversionJob,
    manifest: ModelManifest,
    model: onnx.ModelProto,
    photos: Sequence[ModelInput],
    on_step: OnStep,
    on_progress: OnProgress,
) -> tuple[onnx.ModelProto, dict[str, object]]:
    """The graph in 8 bits, and how that was done."""
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
        shifts = rounding_shifts(prepared, [feeds_of(manifest.task, photo) for photo in photos])
        calibration, quantiser, reached = _best_ranges(
            job, manifest, prepared, shifts, photos, fidelity, on_step, on_progress
        )
        in_float: tuple[str, ...] = ()
        if job.search:
            on_step("looking for layers that lose much in 8 bits")
            found = search(quantiser, fidelity, reached, on_progress)
            in_float, reached = found.in_float, found.kept
        groups = layers(prepared)
        converted = quantiser.quantise([node for group in in_float for node in groups[group]])
    onnx.checker.check_model(converted, full_check=True)
    kept = f", {', '.join(in_float)} in float" if in_float else ""
    on_step(f"fidelity {reached:.3f} with {calibration}{kept}")
    return converted, {
        "calibration": str(calibration),
        "photos": len(photos),
        "in_float": in_float,
        "fidelity": reached,
    }


def _best_ranges(
    job: ConversionJob,
    manifest: ModelManifest,
    prepared: onnx.ModelProto,
    shifts: Shifts,
    photos: Sequence[ModelInput],
    fidelity: Fidelity,
    on_step: OnStep,
    on_progress: OnProgress,
) -> tuple[Calibration, Quantiser, float]:
    """The way of calibrating with the best fidelity, what came of it, and that fidelity."""
    results = []
    for calibration in METHODS if job.calibration is None else (job.calibration,):
        on_step(f"finding ranges on {len(photos)} photos: {calibration}")
        ranges = calibrate(prepared, OPERATORS, manifest.task, photos, calibration, on_progress)
        quantiser = Quantiser(prepared, ranges, shifts)
        results.append((calibration, quantiser, fidelity(quantiser.quantise())))
    return max(results, key=lambda result: result[2])


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most ``most`` of ``paths``, from all over the list."""
    step = max(1, len(paths) / most)
    return [paths[int(i * step)] for i in range(min(most, len(paths)))]


def _why_not(precision: Precision) -> str:
    """Why no package in bfloat16 can be made, after trying what a runtime makes of one."""
    pixels = [1, 1, 3, 3]
    bfloat16 = TensorProto.BFLOAT16
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", bfloat16, pixels)],
        [helper.make_tensor_value_info("y", bfloat16, [1, 1, 1, 1])],
        [helper.make_tensor("w", bfloat16, pixels, [1.0] * 9)],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", BFLOAT16_OPSET)], ir_version=10
    )
    providers = ort.get_available_providers()
    try:
        ort.InferenceSession(model.SerializeToString(), providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        reason = str(error).split(" : ")[-1]
        return (
            f"no package in {precision}: {', '.join(providers)} has no convolution in it ({reason})"
        )
    return f"no package in {precision}: that is not written yet, though {providers} could run it"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what ONNX Runtime's quantisation prints and logs."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
