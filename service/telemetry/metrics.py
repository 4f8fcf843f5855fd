"""What the service counts and measures, as Prometheus reads it.

Events are counted as they happen, in the scoreboard, and prometheus-client only writes them out.
Its own counters are kept in files wherever PROMETHEUS_MULTIPROC_DIR is set, as BentoML sets it in
each of its processes: slower, mixed with BentoML's, and one for all registries.

States (queues, sessions, models) are put there when Prometheus asks, so that they cost a request
nothing; the other workers put theirs there a few times a second (`Metrics.publish`). So a scrape is
of the service, whichever worker answers it.

What begins with its first event is there at 1, and no `increase()` sees that event. So the series
that alerts are made of are there at 0 as soon as a model is in the store: see `EXPECTED`.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
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
from service.scoreboard import Scoreboard
from service.telemetry.process import ProcessFigures
from service.telemetry.record import OK, STAGES
from service.telemetry.states import (
    CAUSES,
    END_CAUSES,
    WORKER_ENDS,
    ServiceState,
    States,
    rollout_families,
)

Labels = tuple[str, ...]

NO_MODEL = "none"  # the label of what no model of the store was asked for
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
NOVELTIES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1)
DECODER_ENDS = ("idle", "deadline", "crash", "killed", "fault")  # see `DecoderPool`
# The routes whose requests are for a model, and the outcomes that are not the caller's own fault.
MODEL_ROUTES = (
    *("/v1/detect", "/v1/classify"),
    *("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"),
)
GRPC_ROUTES = (
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
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
        self,
        board: Scoreboard,
        name: str,
        documentation: str,
        labels: Sequence[str],
        known: Iterable[Labels] = (),
    ) -> None:
        self._board = board
        self._name, self._documentation, self._labels = name, documentation, labels
        self._lock = threading.Lock()
        for row in known:
            self.begin(row)

    def begin(self, labels: Labels) -> None:
        """Be there at 0, if not there yet."""
        self._board.cells(self._name, labels)

    def count(self, labels: Labels) -> None:
        place = self._board.cells(self._name, labels)
        with self._lock:
            self._board.own[place] += 1

    def family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, place in self._board.find(self._name):
            family.add_metric(labels, self._board.total(place))
        return family


class Histogram:
    """Sizes of events by their labels' values; may be observed by several threads at once.

    bounds: each bucket's upper bound, which it includes, ascending. The cells of a series are its
    buckets, one for what is above them all, and the sum.
    """

    def __init__(
        self,
        board: Scoreboard,
        name: str,
        documentation: str,
        labels: Sequence[str],
        bounds: Sequence[float],
    ) -> None:
        self._board = board
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = bounds
        self._names = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._lock = threading.Lock()

    def begin(self, labels: Labels) -> None:
        """Be there without observations, if not there yet."""
        self._place(labels)

    def observe(self, labels: Labels, value: float) -> None:
        place, bucket = self._place(labels), bisect_left(self._bounds, value)
        with self._lock:
            self._board.own[place + bucket] += 1
            self._board.own[place + len(self._names)] += value

    def _place(self, labels: Labels) -> int:
        return self._board.cells(self._name, labels, len(self._names) + 1)

    def family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, place in self._board.find(self._name):
            *counts, total = self._board.sums(place, len(self._names) + 1)
            buckets = list(zip(self._names, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, total)
        return family


class Metrics(Collector):
    """The metrics of a service, in a registry of their own.

    state: of this process; asked at each scrape, and when a model is seen for the first time,
        perhaps from another thread than the event loop's.
    grpc: whether it is served.

    The label ``model`` is only ever a name of the store, or "none", whatever callers ask for.
    """

    def __init__(
        self,
        state: Callable[[], ServiceState],
        board: Scoreboard | None = None,
        *,
        grpc: bool = False,
    ) -> None:
        self.board = board or Scoreboard.alone()
        self._state, self._publishing = state, threading.Lock()
        self._states, self._process = States(self.board), ProcessFigures(self.board)
        self._routes = MODEL_ROUTES + GRPC_ROUTES if grpc else MODEL_ROUTES
        self._names: set[str] = set()  # every name that the store has had, and `NO_MODEL`
        self._memory = available_memory()
        self._requests = Counter(
            self.board,
            "boxport_requests",
            "Requests answered, by outcome: a problem's code, or ok.",
            ("route", "model", "status", "reason"),
        )
        self._request_seconds = Histogram(
            self.board,
            "boxport_request_seconds",
            "From a request to its reply.",
            ("route",),
            SECONDS,
        )
        self._images = Counter(
            self.board,
            "boxport_images",
            "Images answered, by outcome: a problem's code, or ok.",
            ("model", "outcome"),
        )
        self._stage_seconds = Histogram(
            self.board,
            "boxport_stage_seconds",
            "An image's time in each stage.",
            ("model", "stage"),
            SECONDS,
        )
        self._batch_size = Histogram(
            self.board,
            "boxport_batch_size",
            "Images that a model ran together.",
            ("model",),
            BATCH_SIZES,
        )
        self._novelty = Histogram(
            self.board,
            "boxport_novelty",
            "The share of training photos that are more usual than a photo, by the companion.",
            ("model",),
            NOVELTIES,
        )
        self._load_failures = Counter(
            self.board,
            "boxport_model_load_failures",
            "Times that a model could not be loaded.",
            ("model",),
        )
        self._decoder_ends = Counter(
            self.board,
            "boxport_decoder_ends",
            "Decoder processes that ended before they were told to.",
            ("cause",),
            known=((cause,) for cause in DECODER_ENDS),
        )
        self._worker_ends = Counter(
            self.board,
            WORKER_ENDS,
            "Workers that ended, or were killed, while the service went on.",
            ("cause",),
            known=((cause,) for cause in END_CAUSES),
        )
        self._taken_back = Counter(
            self.board,
            "boxport_rollouts_taken_back",
            "Versions on trial that went back by themselves, by cause.",
            ("model", "cause"),
        )
        self._registry = CollectorRegistry()
        self._registry.register(self)
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

    def novelty(self, model: str, novelty: float) -> None:
        """Count a photo that is so novel to the model, 0 to 1."""
        self._novelty.observe((self._label(model),), novelty)

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
        """Every family; prometheus-client calls this at each scrape."""
        state = self.publish()
        for events in (
            self._requests,
            self._request_seconds,
            self._images,
            self._stage_seconds,
            self._batch_size,
            self._novelty,
            self._load_failures,
            self._decoder_ends,
            self._worker_ends,
            self._taken_back,
        ):
            yield events.family()
        yield GaugeMetricFamily(
            "boxport_memory_limit_bytes",
            "What the machine or the container lets the service take.",
            self._memory,
        )
        yield from self._states.families()
        yield from rollout_families(state.rollouts)
        yield from self._process.families()

    def publish(self) -> ServiceState:
        """Put what this process holds now where all can see it."""
        with self._publishing:
            state = self._state()
            self._meet(state)
            self._states.publish(state)
            self._process.publish()
        return state

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
            self._novelty.begin((model,))
            for cause in CAUSES:
                self._taken_back.begin((model, cause))
            for outcome in EXPECTED:
                self._images.begin((model, outcome))
            for stage in STAGES:
                self._stage_seconds.begin((model, stage))
            self._begin_requests(model)

    def _begin_requests(self, model: str) -> None:
        for route in self._routes:
            for reason, status in EXPECTED.items():
                self._requests.begin((route, model, str(status), reason))
        self._names.add(model)
