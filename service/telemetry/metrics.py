"""What the service counts and measures, as Prometheus reads it.

Events are counted as they happen, in plain memory, and prometheus-client only writes them out. Its
own counters are kept in files wherever PROMETHEUS_MULTIPROC_DIR is set, as BentoML sets it in each
of its processes: they would be slower, mixed with BentoML's, and one for all registries.

States (queues, sessions, models) are asked for when Prometheus asks, so that they cost a request
nothing.

What begins with its first event is there at 1, and no `increase()` sees that event. So the series
that alerts are made of are there at 0 as soon as a model is in the store: see `EXPECTED`.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.memory import available_memory
from service.problems import KINDS
from service.telemetry.record import OK, STAGES
from service.telemetry.states import CAUSES, ServiceState, state_families

Labels = tuple[str, ...]

NO_MODEL = "none"  # the label of what no model of the store was asked for
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
DECODER_ENDS = ("idle", "deadline", "crash", "killed", "fault")  # see `DecoderPool`
# The routes whose requests are for a model, and the outcomes that are not the caller's own fault.
MODEL_ROUTES = (
    *("/v1/detect", "/v1/classify"),
    *("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"),
)
EXPECTED = {
    OK: 200,
    **{code: kind.status for code, kind in KINDS.items() if kind.status in (429, *range(500, 600))},
}


class Counter:
    """Events by their labels' values; may be counted by several threads at once.

    known: labels that are there from the start, at 0, so that the first event is an increase.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], known: Iterable[Labels] = ()
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._counts: dict[Labels, int] = dict.fromkeys(known, 0)
        self._lock = threading.Lock()

    def begin(self, labels: Labels) -> None:
        """Be there at 0, if not there yet."""
        with self._lock:
            self._counts.setdefault(labels, 0)

    def count(self, labels: Labels) -> None:
        with self._lock:
            self._counts[labels] = self._counts.get(labels, 0) + 1

    def family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            counts = list(self._counts.items())
        for labels, count in counts:
            family.add_metric(labels, count)
        return family


@dataclass
class _Observed:
    """counts: for each bucket, and last for what is above them all."""

    counts: list[int]
    sum: float = field(default=0.0)


class Histogram:
    """Sizes of events by their labels' values; may be observed by several threads at once.

    bounds: each bucket's upper bound, which it includes, ascending.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = bounds
        self._names = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._observed: dict[Labels, _Observed] = {}
        self._lock = threading.Lock()

    def begin(self, labels: Labels) -> None:
        """Be there without observations, if not there yet."""
        with self._lock:
            self._of(labels)

    def observe(self, labels: Labels, value: float) -> None:
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            observed = self._of(labels)
            observed.counts[bucket] += 1
            observed.sum += value

    def _of(self, labels: Labels) -> _Observed:
        observed = self._observed.get(labels)
        if observed is None:
            observed = self._observed[labels] = _Observed([0] * len(self._names))
        return observed

    def family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            copies = [(labels, [*one.counts], one.sum) for labels, one in self._observed.items()]
        for labels, counts, total in copies:
            buckets = list(zip(self._names, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, total)
        return family


class Metrics(Collector):
    """The metrics of one process, in a registry of their own.

    state: asked at each scrape, and when a model is seen for the first time, perhaps from another
        thread than the event loop's.

    The label ``model`` is only ever a name of the store, or "none", whatever callers ask for.
    """

    def __init__(self, state: Callable[[], ServiceState]) -> None:
        self._state = state
        self._names: set[str] = set()  # every name that the store has had, and `NO_MODEL`
        self._memory = available_memory()
        self._requests = Counter(
            "boxport_requests",
            "Requests answered, by outcome: a problem's code, or ok.",
            ("route", "model", "status", "reason"),
        )
        self._request_seconds = Histogram(
            "boxport_request_seconds", "From a request to its reply.", ("route",), SECONDS
        )
        self._images = Counter(
            "boxport_images",
            "Images answered, by outcome: a problem's code, or ok.",
            ("model", "outcome"),
        )
        self._stage_seconds = Histogram(
            "boxport_stage_seconds", "An image's time in each stage.", ("model", "stage"), SECONDS
        )
        self._batch_size = Histogram(
            "boxport_batch_size", "Images that a model ran together.", ("model",), BATCH_SIZES
        )
        self._load_failures = Counter(
            "boxport_model_load_failures", "Times that a model could not be loaded.", ("model",)
        )
        self._decoder_ends = Counter(
            "boxport_decoder_ends",
            "Decoder processes that ended before they were told to.",
            ("cause",),
            known=((cause,) for cause in DECODER_ENDS),
        )
        self._taken_back = Counter(
            "boxport_rollouts_taken_back",
            "Versions on trial that went back by themselves, by cause.",
            ("model", "cause"),
        )
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._begin_requests(NO_MODEL)

    def request(
        self, route: str, model: str | None, status: int, reason: str, seconds: float
    ) -> None:
        """Count a reply.

        route: the route's template, never the path that was asked for.
        model: the name that the caller asked for, without a version, or None.
        reason: the problem's code, or "ok".
        seconds: from the request's first byte to the reply's last.
        """
        self._requests.count((route, self._label(model), str(status), reason))
        self._request_seconds.observe((route,), seconds)

    def image(self, model: str, outcome: str, stages: Mapping[str, float]) -> None:
        """Count an image and the seconds of each stage that it came to: decode, queue, inference.

        outcome: the problem's code, or "ok".
        """
        model = self._label(model)
        self._images.count((model, outcome))
        for stage, seconds in stages.items():
            self._stage_seconds.observe((model, stage), seconds)

    def batch(self, model: str, size: int) -> None:
        """Count a batch of ``size`` images; may be called by a model's own thread."""
        self._batch_size.observe((self._label(model),), size)

    def load_failure(self, model: str) -> None:
        """Count a model of the store that could not be loaded; ``model`` names its folder."""
        self._load_failures.count((model,))

    def taken_back(self, model: str, cause: str) -> None:
        """Count a version that was taken back: see `service.rollout.guard`."""
        self._taken_back.count((self._label(model), cause))

    def decoder_end(self, cause: str) -> None:
        """Count a decoder process that ended: see `DecoderPool`."""
        self._decoder_ends.count((cause,))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their content type, as the header ``Accept`` asks.

        That is OpenMetrics if it is named, else Prometheus' text.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # a version that is no number
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Every family but the process's; prometheus-client calls this at each scrape."""
        state = self._state()
        self._meet(state)
        for events in (
            self._requests,
            self._request_seconds,
            self._images,
            self._stage_seconds,
            self._batch_size,
            self._load_failures,
            self._decoder_ends,
            self._taken_back,
        ):
            yield events.family()
        yield GaugeMetricFamily(
            "boxport_memory_limit_bytes",
            "What the machine or the container lets the service take.",
            self._memory,
        )
        yield from state_families(state)

    def _label(self, model: str | None) -> str:
        if model in self._names:
            return model
        self._meet(self._state())
        return model if model in self._names else NO_MODEL

    def _meet(self, state: ServiceState) -> None:
        """Begin the series of the models that are new."""
        for model in {known.name for known in state.models} - self._names:
            self._load_failures.begin((model,))
            self._batch_size.begin((model,))
            for cause in CAUSES:
                self._taken_back.begin((model, cause))
            for outcome in EXPECTED:
                self._images.begin((model, outcome))
            for stage in STAGES:
                self._stage_seconds.begin((model, stage))
            self._begin_requests(model)

    def _begin_requests(self, model: str) -> None:
        for route in MODEL_ROUTES:
            for reason, status in EXPECTED.items():
                self._requests.begin((route, model, str(status), reason))
        self._names.add(model)
