"""From a package on disk to a model that is served: opened, warm, laid out on its device."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bentoml
from PIL import Image

from service.imaging.resize import to_input
from service.inference.decoder import Decoder
from service.inference.isolated import Opened, PackageProcess, Trial
from service.inference.layout import Layout
from service.inference.model import PARAMETERS, LoadedModel, Shared, open_predictor
from service.inference.task import Predictor
from service.manifest import GRAPH_FILE
from service.package import GraphRunner, PackageError, open_package
from service.providers import ExecutionProvider, choose_providers
from service.runtime.memory import trim_memory
from service.runtime.sessions import Device
from service.settings import Settings
from service.terminal import one_line

WARM_UP_SIZE = (640, 480)  # of the photo that a model runs on first
# What sessions take, as a multiple of their weights: 1.25 to 1.7 for the shipped models, measured
# in an idle process. Counted by the file, for the growth of a process that answers requests is
# theirs too; and what runs need beside, all models share (`runtime.sessions`).
SESSION_SHARE = 1.5


def load_model(
    folder: Path, settings: Settings, shared: Shared, trial: Trial | None = None
) -> LoadedModel:
    """Open the package in ``folder`` and run it once at each batch size, so that no caller pays
    for first-time allocations, compilations or searches.

    trial: of a version that is on trial: its graph runs in a process of its own.

    Raises PackageError if it is unfit, ProviderError if what should run it is not there.
    """
    wanted = settings.for_model(folder.parent.name)
    providers = choose_providers(wanted.execution_providers, allow_fallback=wanted.allow_fallback)
    first = providers[0]
    layout = Layout.resolve(wanted, first, settings.cpus)
    device = Device(
        tuple(providers),
        layout.threads,
        layout.latency_threads,
        {**device_of(first, settings.gpus), **wanted.provider_options},
        wanted.allow_fallback,
        wanted.cuda_graphs,
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
    trim_memory()
    graph_bytes = (folder / GRAPH_FILE).stat().st_size
    return LoadedModel(
        predictor,
        Decoder(
            package.manifest.input,
            settings,
            shared.hold_memory,
            layout.decode_threads,
            shared.isolation,
        ),
        layout,
        shared,
        opened.provider,
        session_bytes=int(SESSION_SHARE * opened.copies * graph_bytes),
        trial=trial,
        process=process,
    )


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
    image = to_input(Image.new("RGB", WARM_UP_SIZE), predictor.manifest.input)
    query = predictor.to_query(PARAMETERS[predictor.manifest.task]())
    for size in sizes:
        predictor.run([image] * size, [query] * size)
    predictor.run([image], [query], alone=True)
