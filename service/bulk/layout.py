"""What an actor takes of a node, and how its engine is laid out on that."""

from dataclasses import dataclass

from service.engine.admission import BULK_SHARE
from service.providers import AUTO, CPU, PROVIDERS
from service.settings import ModelSettings, Settings

GPU_MEMORY = "cuda"
CPUS_BESIDE_GPU = 4  # that decode, where no node says how many it has
BATCHES_AHEAD = 4  # that are read, decoded or run at once, of each that may run
LEAST_AHEAD = 16  # photos, for those that come from far away
DEVICE_BATCH = 8  # where no setting says how many images run together


@dataclass(frozen=True)
class Needs:
    """Of an actor: whole processors, and GPUs or a part of one."""

    cpus: int
    gpus: float


@dataclass(frozen=True)
class Node:
    cpus: int
    gpus: float


def needs_of(
    wanted: ModelSettings, nodes: list[Node], cpus: int | None, gpus: float | None
) -> Needs:
    """Of an actor that runs a model as ``wanted``, where ``cpus`` and ``gpus`` do not say it.

    Without a GPU it is a run's threads: as many actors as there are processors give most photos a
    second. With one it is the GPU, and its share of the processors to decode on.
    """
    if gpus is None:
        gpus = 1.0 if _runs_on_gpu(wanted, nodes) else 0.0
    if cpus is None and gpus:
        with_gpus = [int(node.cpus * gpus / node.gpus) for node in nodes if node.gpus >= gpus]
        cpus = max(1, min(with_gpus, default=CPUS_BESIDE_GPU))
    return Needs(cpus or wanted.threads or 1, gpus)


def settings_of(settings: Settings, name: str, needs: Needs) -> Settings:
    """Of the engine in an actor that takes ``needs``, which serves the model called ``name``."""
    wanted = settings.for_model(name)
    threads = wanted.threads or 1
    if needs.gpus:
        runs, decoding = wanted.concurrent_runs or 1, wanted.decode_threads or needs.cpus
    else:
        runs, decoding = max(1, needs.cpus // threads), wanted.decode_threads or 0
    batch = wanted.max_batch_size or (DEVICE_BATCH if needs.gpus else CPU.max_batch_size)
    ahead = max(LEAST_AHEAD, BATCHES_AHEAD * runs * batch)
    own = {field: getattr(wanted, field) for field in ModelSettings.model_fields}
    layout = {
        "concurrent_runs": runs,
        "threads": threads,
        "latency_threads": threads,  # a run never has the machine to itself for long
        "decode_threads": decoding,
    }
    bounds = {
        "max_images_in_service": int(ahead / BULK_SHARE),
        "max_pixels_in_service": max(runs, decoding) * settings.max_image_pixels,
        "max_session_bytes": None,
    }
    # what was said of the store and its keys has been heeded where the job began
    elsewhere = {"models": {}, "public_keys": (), "watch_seconds": 0.0}
    return settings.model_copy(update={**own, **layout, **bounds, **elsewhere})


def _runs_on_gpu(wanted: ModelSettings, nodes: list[Node]) -> bool:
    if list(wanted.execution_providers) == [AUTO]:
        return any(node.gpus for node in nodes)
    rows = (PROVIDERS.get(name) for name in wanted.execution_providers)
    return any(row is not None and row.memory == GPU_MEMORY for row in rows)
