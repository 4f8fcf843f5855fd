"""The resources of an actor, and the settings of its engine."""

from dataclasses import asdict, dataclass

from service.engine.admission import BULK_SHARE
from service.imaging.cost import worst_bytes
from service.inference.layout import Layout
from service.providers import AUTO, CPU, PROVIDERS
from service.settings import ModelSettings, Settings

GPU_MEMORY = "cuda"
CPUS_BESIDE_GPU = 4  # to decode on, while no node with a GPU is known
BATCHES_AHEAD = 4  # batches read, decoded or run at once, for each concurrent run
MIN_AHEAD = 16  # photos in flight, to hide the latency of object stores


@dataclass(frozen=True)
class Resources:
    """Of an actor or a node: whole processors, and GPUs or a fraction of one."""

    cpus: int
    gpus: float


def resources_of(
    wanted: ModelSettings, nodes: list[Resources], cpus: int | None, gpus: float | None
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
    # a run never has the machine to itself for long
    fixed: dict[str, int] = {"latency_threads": threads}
    if not resources.gpus:
        fixed["concurrent_runs"] = max(1, resources.cpus // threads)
    provider = PROVIDERS["cuda"] if resources.gpus else CPU
    layout = Layout.resolve(wanted.model_copy(update=fixed), provider, resources.cpus)
    ahead = max(MIN_AHEAD, BATCHES_AHEAD * layout.concurrent_runs * layout.max_batch_size)
    decoding = max(layout.concurrent_runs, layout.decode_threads)
    own = {field: getattr(wanted, field) for field in ModelSettings.model_fields}
    bounds = {
        "max_images_in_service": int(ahead / BULK_SHARE),
        "max_decoding_bytes": decoding
        * worst_bytes(settings.max_image_pixels, settings.max_body_bytes),
        "max_session_bytes": None,
    }
    # the store and its keys were used where the job began
    elsewhere = {"models": {}, "public_keys": (), "watch_seconds": 0.0}
    return settings.model_copy(update={**own, **asdict(layout), **bounds, **elsewhere})


def _runs_on_gpu(wanted: ModelSettings, nodes: list[Resources]) -> bool:
    if list(wanted.execution_providers) == [AUTO]:
        return any(node.gpus for node in nodes)
    rows = (PROVIDERS.get(name) for name in wanted.execution_providers)
    return any(row is not None and row.memory == GPU_MEMORY for row in rows)
