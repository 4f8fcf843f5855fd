"""The resources of an actor, and the settings of its engine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from service.engine.admission import BULK_SHARE
from service.imaging.cost import worst_bytes
from service.inference.layout import Layout
from service.inference.photos import PIXEL_BYTES
from service.providers import AUTO, CPU, PROVIDERS
from service.settings import ModelSettings, Settings

GPU_MEMORY = "cuda"
CPUS_BESIDE_GPU = 4  # to decode on, while no node with a GPU is known
BATCHES_AHEAD = 4  # batches read, decoded or run at once, for each concurrent run
MIN_AHEAD = 16  # photos in flight, to hide the latency of object stores
CUT_AHEAD = 4  # photos in flight, for each concurrent run, where parts of them are cut out


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


def settings_of(
    settings: Settings, names: Sequence[str], resources: Resources, *, cuts: bool = False
) -> tuple[Settings, int]:
    """The engine's settings in an actor that has ``resources`` and serves the models ``names``,
    laid out as the first of them, and how many photos it has in flight.

    cuts: whether parts are cut out of photos, which are whole in memory until then.
    """
    wanted = settings.for_model(names[0])
    threads = wanted.threads or 1
    # a run never has the machine to itself for long
    fixed: dict[str, int] = {"latency_threads": threads}
    if not resources.gpus:
        fixed["concurrent_runs"] = max(1, resources.cpus // threads)
    provider = PROVIDERS["cuda"] if resources.gpus else CPU
    layout = Layout.resolve(wanted.model_copy(update=fixed), provider, resources.cpus)
    decoding = max(layout.concurrent_runs, layout.decode_threads)
    own = {field: getattr(wanted, field) for field in ModelSettings.model_fields}
    ahead = max(MIN_AHEAD, BATCHES_AHEAD * layout.concurrent_runs * layout.max_batch_size)
    if cuts:
        ahead = CUT_AHEAD * layout.concurrent_runs
    images = 1 + settings.max_regions if cuts else 1
    bounds = {
        "max_images_in_service": int(ahead * images / BULK_SHARE),
        "max_decoding_bytes": decoding
        * worst_bytes(settings.max_image_pixels, settings.max_body_bytes)
        + (ahead * PIXEL_BYTES * settings.max_image_pixels if cuts else 0),
        "max_session_bytes": None,
    }
    others = {
        name: settings.for_model(name).model_copy(update=asdict(layout)) for name in names[1:]
    }
    # the store and its keys were used where the job began
    elsewhere = {"models": others, "public_keys": (), "watch_seconds": 0.0}
    made = settings.model_copy(update={**own, **asdict(layout), **bounds, **elsewhere})
    return made, ahead


def _runs_on_gpu(wanted: ModelSettings, nodes: list[Resources]) -> bool:
    if list(wanted.execution_providers) == [AUTO]:
        return any(node.gpus for node in nodes)
    rows = (PROVIDERS.get(name) for name in wanted.execution_providers)
    return any(row is not None and row.memory == GPU_MEMORY for row in rows)
