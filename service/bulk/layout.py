"""The resources of an actor, and the settings of its engine."""

from dataclasses import dataclass

from service.engine.admission import BULK_SHARE
from service.providers import AUTO, CPU, PROVIDERS
from service.settings import ModelSettings, Settings

GPU_MEMORY = "cuda"
CPUS_BESIDE_GPU = 4  # to decode on, while no node with a GPU is known
BATCHES_AHEAD = 4  # batches read, decoded or run at once, for each concurrent run
MIN_AHEAD = 16  # photos in flight, to hide the latency of object stores
DEVICE_BATCH = 8  # where no setting says how many images run together


@dataclass(frozen=True)
class Resources:
    """Of an actor: whole processors, and GPUs or a fraction of one."""

    cpus: int
    gpus: float


@dataclass(frozen=True)
class Node:
    cpus: int
    gpus: float


def resources_of(
    wanted: ModelSettings, nodes: list[Node], cpus: int | None, gpus: float | None
) -> Resources:
    """What an actor that runs a model as ``wanted`` needs, unless ``cpus`` and ``gpus`` say it.

    Without a GPU, the threads of a run: as many actors as there are processors give the highest
    throughput. With one, the GPU and its share of the node's processors, to decode on.
    """
    if gpus is None:
        gpus = 1.0 if _runs_on_gpu(wanted, nodes) else 0.0
    if cpus is None and gpus:
        with_gpus = [int(node.cpus * gpus / node.gpus) for node in nodes if node.gpus >= gpus]
        cpus = max(1, min(with_gpus, default=CPUS_BESIDE_GPU))
    return Resources(cpus or wanted.threads or 1, gpus)


def settings_of(settings: Settings, name: str, resources: Resources) -> Settings:
    """The engine's settings in an actor that has ``resources`` and serves the model ``name``."""
    wanted = settings.for_model(name)
    threads = wanted.threads or 1
    if resources.gpus:
        runs, decoding = wanted.concurrent_runs or 1, wanted.decode_threads or resources.cpus
    else:
        runs, decoding = max(1, resources.cpus // threads), wanted.decode_threads or 0
    batch = wanted.max_batch_size or (DEVICE_BATCH if resources.gpus else CPU.max_batch_size)
    ahead = max(MIN_AHEAD, BATCHES_AHEAD * runs * batch)
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
    # the store and its keys were used where the job began
    elsewhere = {"models": {}, "public_keys": (), "watch_seconds": 0.0}
    return settings.model_copy(update={**own, **layout, **bounds, **elsewhere})


def _runs_on_gpu(wanted: ModelSettings, nodes: list[Node]) -> bool:
    if list(wanted.execution_providers) == [AUTO]:
        return any(node.gpus for node in nodes)
    rows = (PROVIDERS.get(name) for name in wanted.execution_providers)
    return any(row is not None and row.memory == GPU_MEMORY for row in rows)
