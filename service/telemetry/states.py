"""What the service holds at the moment that Prometheus asks: its models and its rollouts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from service.scoreboard import PHASE, Phase, Scoreboard

# Of workers that the supervisor has replaced, or ended the service for.
WORKER_ENDS, END_CAUSES = "boxport_worker_ends", ("died", "hung")
MODEL_LABELS = ("model", "version", "sha256", "precision", "provider")
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
    """What a process of the service holds at one moment.

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


class Gauge:
    """What each process holds, by labels, and all of them together.

    A cell is 0 where its process has no such thing, and else one more than the value.
    """

    def __init__(
        self, board: Scoreboard, name: str, documentation: str, labels: Sequence[str] = ()
    ) -> None:
        self._board, self._name = board, name
        self._documentation, self._labels = documentation, labels
        self._held: set[tuple[str, ...]] = set()

    def publish(self, values: Mapping[tuple[str, ...], float]) -> None:
        """What this process holds now, in place of what it held before."""
        for labels in self._held - values.keys():
            self._board.own[self._place(labels)] = 0.0
        for labels, value in values.items():
            self._board.own[self._place(labels)] = 1.0 + value
        self._held = set(values)

    def totals(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for labels, place in self._board.find(self._name):
            held = [cell for (cell,) in self._board.values(place, 1) if cell]
            if held:
                yield labels, sum(held) - len(held)

    def family(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, total in self.totals():
            family.add_metric(labels, total)
        return family

    def _place(self, labels: tuple[str, ...]) -> int:
        return self._board.cells(self._name, labels, gauge=True)


class States:
    """The models and requests of all processes."""

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self._requests = Gauge(
            board, "boxport_requests_in_flight", "Requests begun and not yet answered."
        )
        self._images = Gauge(
            board, "boxport_images_in_service", "Images accepted and not yet answered."
        )
        self._session_bytes = Gauge(
            board, "boxport_session_bytes", "Estimated memory of the loaded models."
        )
        self._queued = Gauge(
            board, "boxport_queue_images", "Images that wait for a model.", ("model",)
        )
        self._sessions = Gauge(
            board, "boxport_sessions", "Sessions of a model that are loaded.", ("model",)
        )
        self._loaded = Gauge(board, "boxport_model", "The models that are loaded.", MODEL_LABELS)

    def publish(self, state: ServiceState) -> None:
        """``state``: of this process."""
        self._requests.publish({(): state.requests})
        self._images.publish({(): state.images})
        self._session_bytes.publish({(): state.session_bytes})
        self._queued.publish(_by_name((model.name, model.queued) for model in state.models))
        self._sessions.publish(_by_name((model.name, model.sessions) for model in state.models))
        loaded = [model for model in state.models if model.provider is not None]
        self._loaded.publish(
            {
                (one.name, one.version, one.sha256, one.precision, one.provider or ""): 1
                for one in loaded
            }
        )

    def families(self) -> Iterator[Metric]:
        ready = sum(row[PHASE] == Phase.READY for row in self._board.workers)
        yield GaugeMetricFamily("boxport_workers", "Workers that are ready.", ready)
        for gauge in (
            self._requests,
            self._images,
            self._session_bytes,
            self._queued,
            self._sessions,
        ):
            yield gauge.family()
        info = InfoMetricFamily("boxport_model", "The models that are loaded.", labels=MODEL_LABELS)
        for labels, _ in self._loaded.totals():
            info.add_metric(labels, {})
        yield info


def _by_name(values: Iterable[tuple[str, int]]) -> dict[tuple[str, ...], int]:
    """One series a name: a model's versions together."""
    totals: dict[tuple[str, ...], int] = {}
    for model, value in values:
        totals[(model,)] = totals.get((model,), 0) + value
    return totals


def rollout_families(rollouts: Sequence[RolloutState]) -> Iterator[Metric]:
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
