"""What the service holds at the moment that Prometheus asks: its models and its rollouts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

CAUSES = ("errors", "latency", "disagreement", "process")  # that a version is taken back for


@dataclass(frozen=True)
class ModelState:
    """A version of a model in the store.

    sha256, precision: "" if its package cannot be read.
    provider: the execution provider that it runs on; None while it is not loaded.
    sessions: how many of it are loaded.
    queued: images that wait for it.
    """

    name: str
    version: str
    sha256: str
    precision: str
    provider: str | None = None
    sessions: int = 0
    queued: int = 0


@dataclass(frozen=True)
class RolloutState:
    """A rollout at one moment.

    share: of the requests; 0 once it is over.
    photos, requests: how many there were of each outcome.
    agreement: value, low and high, of what was compared; empty if nothing was.
    p99: seconds, by version; ``memory``: bytes, by version.
    """

    model: str
    version: str
    mode: str
    phase: str
    share: float
    photos: dict[str, float]
    requests: dict[str, float]
    agreement: dict[str, float]
    p99: dict[str, float]
    memory: dict[str, float]


@dataclass(frozen=True)
class ServiceState:
    """What the service holds at one moment.

    models: all of the store, loaded or not.
    images: accepted and not yet answered.
    requests: in flight, on all routes.
    session_bytes: estimated memory of the loaded models.
    rollouts: of the models that have one.
    """

    models: Sequence[ModelState] = ()
    images: int = 0
    requests: int = 0
    session_bytes: int = 0
    rollouts: Sequence[RolloutState] = ()


def state_families(state: ServiceState) -> Iterator[Metric]:
    """Of all that ``state`` holds."""
    yield GaugeMetricFamily(
        "boxport_requests_in_flight", "Requests begun and not yet answered.", state.requests
    )
    yield GaugeMetricFamily(
        "boxport_images_in_service", "Images accepted and not yet answered.", state.images
    )
    yield GaugeMetricFamily(
        "boxport_session_bytes",
        "Estimated memory of the loaded models.",
        state.session_bytes,
    )
    yield _by_name(
        "boxport_queue_images",
        "Images that wait for a model.",
        ((model.name, model.queued) for model in state.models),
    )
    yield _by_name(
        "boxport_sessions",
        "Sessions of a model that are loaded.",
        ((model.name, model.sessions) for model in state.models),
    )
    labels = ("model", "version", "sha256", "precision", "provider")
    info = InfoMetricFamily("boxport_model", "The models that are loaded.", labels=labels)
    for model in state.models:
        if model.provider is not None:
            row = (model.name, model.version, model.sha256, model.precision, model.provider)
            info.add_metric(row, {})
    yield info
    yield from _rollout_families(state.rollouts)


def _by_name(name: str, documentation: str, values: Iterable[tuple[str, int]]) -> GaugeMetricFamily:
    """One series a name: a model's versions together."""
    totals: dict[str, int] = {}
    for model, value in values:
        totals[model] = totals.get(model, 0) + value
    family = GaugeMetricFamily(name, documentation, labels=("model",))
    for model, total in totals.items():
        family.add_metric((model,), total)
    return family


def _rollout_families(rollouts: Sequence[RolloutState]) -> Iterator[Metric]:
    """A model's rollout is one series of each, or a few."""
    names = ("model", "version")
    share = GaugeMetricFamily(
        "boxport_rollout_share",
        "Share of the requests that a version on trial runs; 0 once it is over.",
        labels=(*names, "mode", "phase"),
    )
    photos = CounterMetricFamily(
        "boxport_shadow_photos",
        "Copies of answered photos for the other version, by outcome.",
        labels=(*names, "outcome"),
    )
    requests = CounterMetricFamily(
        "boxport_canary_requests",
        "Requests that a version on trial was to answer, by outcome.",
        labels=(*names, "outcome"),
    )
    agreement = GaugeMetricFamily(
        "boxport_shadow_agreement",
        "Share of compared answers that agree, and the ends of its 95 % interval.",
        labels=(*names, "bound"),
    )
    p99 = GaugeMetricFamily(
        "boxport_canary_p99_seconds",
        "Of the answers of each version while one is tried.",
        labels=(*names, "answered_by"),
    )
    memory = GaugeMetricFamily(
        "boxport_shadow_memory_bytes",
        "What each version takes while one is tried.",
        labels=(*names, "of"),
    )
    for one in rollouts:
        own = (one.model, one.version)
        share.add_metric((*own, one.mode, one.phase), one.share)
        for family, values in (
            (photos, one.photos),
            (requests, one.requests),
            (agreement, one.agreement),
            (p99, one.p99),
            (memory, one.memory),
        ):
            for label, value in values.items():
                family.add_metric((*own, label), value)
    yield from (share, photos, requests, agreement, p99, memory)
