"""From a package on disk to a model that is served: opened, warm, laid out on its device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bentoml
import psutil
from PIL import Image

from service.imaging.resize import to_input
from service.inference.affinity import CorePool
from service.inference.model import PARAMETERS, Layout, OnBatch, ServedModel, open_runner
from service.inference.task import Job, Runner
from service.manifest import GRAPH_FILE
from service.package import PackageError, open_package
from service.providers import ExecutionProvider, choose_providers
from service.runtime.memory import trim_memory
from service.runtime.sessions import Device
from service.settings import Settings

WARM_UP_SIZE = (640, 480)  # of the photo that a model runs on first


def serve(
    folder: Path,
    settings: Settings,
    on_batch: OnBatch,
    images_in_service: Callable[[], int],
    seats: CorePool,
) -> ServedModel:
    """Open the package in ``folder`` and run it once at each batch size, so that no caller pays
    for first-time allocations, compilations or searches. For the rest see `ServedModel`.

    Raises PackageError if it is unfit, ProviderError if what should run it is not there.
    """
    before = psutil.Process().memory_info().rss
    wanted = settings.for_model(folder.parent.name)
    providers = choose_providers(wanted.execution_providers, allow_fallback=wanted.allow_fallback)
    first = providers[0]
    max_batch_size = wanted.max_batch_size or first.max_batch_size
    runs = wanted.concurrent_runs or (settings.cpus if first.runs_per_cpu else 1)
    threads = wanted.threads or 1
    decoders = wanted.decode_threads
    latency_threads = wanted.latency_threads or max(threads, settings.cpus)
    device = Device(
        tuple(providers),
        threads,
        latency_threads,
        {**device_of(first, settings.gpus), **wanted.provider_options},
        wanted.allow_fallback,
        wanted.cuda_graphs,
    )
    sizes = batch_sizes(max_batch_size) if first.fixed_batches else ()
    package = open_package(folder, public_keys=settings.public_keys, device=device, batches=sizes)
    runner = open_runner(package)
    try:
        warm_up(runner, sizes or (1, max_batch_size))
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        reason = " ".join(str(error).split())  # theirs is of several lines
        raise PackageError(f"{folder}: cannot be run: {reason}") from error
    trim_memory()
    grown = psutil.Process().memory_info().rss - before
    layout = Layout(
        package.provider,
        package.manifest.precision,
        device.threads,
        runs,
        max_batch_size,
        max(grown, (folder / GRAPH_FILE).stat().st_size),
        device.threads if package.latency_session is None else latency_threads,
        (0 if first.runs_per_cpu else settings.cpus) if decoders is None else decoders,
    )
    return ServedModel(runner, layout, on_batch, images_in_service, seats)


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


def warm_up(runner: Runner[Any], sizes: Sequence[int]) -> None:
    """Run a batch of each of ``sizes``."""
    image = to_input(Image.new("RGB", WARM_UP_SIZE), runner.manifest.input)
    query = runner.to_query(PARAMETERS[runner.manifest.task]())
    for size in sizes:
        runner.run([Job(image, query)] * size)
    runner.run([Job(image, query)], alone=True)
