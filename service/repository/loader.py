"""From a package on disk to a model that is served: opened, warm, laid out on its device."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import bentoml
from PIL import Image

from service.imaging.resize import ModelInput, to_input
from service.inference.companion import Companion, load_companion
from service.inference.decoder import Decoder
from service.inference.isolated import Opened, PackageProcess, Trial
from service.inference.layout import Layout
from service.inference.model import PARAMETERS, LoadedModel, Shared, open_predictor
from service.inference.task import Predictor
from service.manifest import GRAPH_FILE, ModelManifest, Precision
from service.package import GraphRunner, PackageError, open_package
from service.providers import BF16_MIN_GAIN, OPENVINO, ExecutionProvider, may_run_bf16, providers_of
from service.runtime.memory import trim_memory
from service.runtime.sessions import Device
from service.settings import Settings
from service.telemetry.logs import logger
from service.terminal import one_line

WARM_UP_SIZE = (640, 480)  # of the photo that a model runs on first
# What sessions take, as a multiple of their weights: 1.25 to 1.7 for the shipped models, measured
# in an idle process. Counted by the file, for the growth of a process that answers requests is
# theirs too; and what runs need beside, all models share (`runtime.sessions`).
SESSION_SHARE = 1.5
TRIALS = 7  # of both in turn


@dataclass(frozen=True)
class Candidate:
    """A package that has been opened and is warm.

    process: that its graph runs in, if it has one of its own.
    precision: that layers are computed in.
    """

    predictor: Predictor[Any]
    opened: Opened
    layout: Layout
    process: PackageProcess | None
    precision: Precision


def load_model(
    folder: Path,
    settings: Settings,
    shared: Shared,
    trial: Trial | None = None,
    companion: Path | None = None,
) -> LoadedModel:
    """Open the package in ``folder`` and run it once at each batch size, so that no caller pays
    for first-time allocations, compilations or searches.

    trial: of a version that is on trial: its graph runs in a process of its own.
    companion: the folder of its companion. A model is served without one that is unfit.

    Raises PackageError if it is unfit, ProviderError if what should run it is not there.
    """
    wanted, weights = settings.for_model(folder.parent.name), shared.weights_folder
    bf16 = wanted.precision == "bf16"
    chosen = _open(folder, settings, providers_of(wanted), bf16, trial, weights)
    if wanted.runtime == "auto" and chosen.precision == "fp32" and may_run_bf16(wanted):
        chosen = _faster(chosen, _open(folder, settings, [OPENVINO], True, trial, weights))
    judge, fault = _companion(companion, chosen.predictor.manifest, settings)
    trim_memory()
    graph_bytes = (folder / GRAPH_FILE).stat().st_size * chosen.opened.copies
    if judge is not None and companion is not None:
        graph_bytes += (companion / GRAPH_FILE).stat().st_size
    return LoadedModel(
        chosen.predictor,
        Decoder(
            chosen.predictor.manifest.input,
            settings,
            shared.hold_memory,
            chosen.layout.decode_threads,
            shared.isolation,
        ),
        chosen.layout,
        shared,
        chosen.opened.provider,
        chosen.precision,
        session_bytes=int(SESSION_SHARE * graph_bytes),
        trial=trial,
        process=chosen.process,
        companion=judge,
        companion_fault=fault,
    )


def _companion(
    folder: Path | None, watched: ModelManifest, settings: Settings
) -> tuple[Companion | None, str | None]:
    """The companion in ``folder``, or why there is none."""
    if folder is None:
        return None, None
    try:
        return load_companion(folder, watched, settings), None
    except Exception as error:  # ONNX Runtime's have no common base; the model is fit without it
        logger.error("%s: serving %s without it: %s", folder, watched.name, one_line(error))
        return None, one_line(error)


def _open(
    folder: Path,
    settings: Settings,
    providers: list[ExecutionProvider],
    bf16: bool,
    trial: Trial | None,
    weights_folder: Path | None,
) -> Candidate:
    wanted, first = settings.for_model(folder.parent.name), providers[0]
    layout = Layout.resolve(wanted, first, settings.cpus)
    device = Device(
        tuple(providers),
        layout.threads,
        layout.latency_threads,
        {**device_of(first, settings.gpus), **wanted.provider_options},
        wanted.allow_fallback,
        wanted.cuda_graphs,
        layout.concurrent_runs,
        bf16,
        weights_folder,
    )
    sizes = batch_sizes(layout.max_batch_size) if first.fixed_batches else ()
    process: PackageProcess | None = None
    package: GraphRunner[Any]
    if trial is None:
        package = own = open_package(
            folder, public_keys=settings.public_keys, device=device, batches=sizes
        )
        opened = Opened.of(own)
    else:
        package = process = PackageProcess(
            folder,
            device,
            public_keys=settings.public_keys,
            batches=sizes,
            runs=layout.concurrent_runs,
            trial=trial,
        )
        opened = process.opened
    if not opened.has_latency_session:
        layout = replace(layout, latency_threads=layout.threads)
    predictor = open_predictor(package)
    try:
        warm_up(predictor, sizes or (1, layout.max_batch_size))
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        if process is not None:
            process.close()
        raise PackageError(f"{folder}: cannot be run: {one_line(error)}") from error
    precision: Precision = "bf16" if bf16 else predictor.manifest.precision
    return Candidate(predictor, opened, layout, process, precision)


def _faster(usual: Candidate, other: Candidate) -> Candidate:
    """``other`` if a run of one thread takes so much less time that it is worth its precision."""
    pairs = [[_seconds(one.predictor) for one in (usual, other)] for _ in range(TRIALS)]
    gain = median(before / after for before, after in pairs)
    chosen, dropped = (other, usual) if gain >= BF16_MIN_GAIN else (usual, other)
    logger.info(
        "%s: %.2f times as fast by OpenVINO in bfloat16 as by ONNX Runtime; %s it",
        usual.predictor.manifest.name,
        gain,
        "runs by" if chosen is other else "does without",
    )
    if dropped.process is not None:
        dropped.process.close()
    return chosen


def device_of(provider: ExecutionProvider, devices: int) -> dict[str, str]:
    """The option that gives this worker the device that is its own."""
    if provider.device_option is None or devices == 1:
        return {}
    worker = bentoml.server_context.worker_index or 1  # from 1
    return {provider.device_option: str((worker - 1) % devices)}


def batch_sizes(largest: int) -> tuple[int, ...]:
    """The powers of two below ``largest``, and ``largest``."""
    powers = [2**i for i in range(largest.bit_length()) if 2**i < largest]
    return (*powers, largest)


def warm_up(predictor: Predictor[Any], sizes: Sequence[int]) -> None:
    """Run a batch of each of ``sizes``."""
    image, query = _black_photo(predictor)
    for size in sizes:
        predictor.run([image] * size, [query] * size)
    predictor.run([image], [query], alone=True)


def _seconds(predictor: Predictor[Any]) -> float:
    """That a run of one image takes, on the threads of one of several runs."""
    image, query = _black_photo(predictor)
    began = time.perf_counter()
    predictor.run([image], [query])
    return time.perf_counter() - began


def _black_photo(predictor: Predictor[Any]) -> tuple[ModelInput, Any]:
    image = to_input(Image.new("RGB", WARM_UP_SIZE), predictor.manifest.input)
    return image, predictor.to_query(PARAMETERS[predictor.manifest.task]())
