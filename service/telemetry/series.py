"""Counters and histograms in plain memory, that prometheus-client only writes out.

Its own are kept in files wherever PROMETHEUS_MULTIPROC_DIR is set, as BentoML sets it in each of
its processes: they would be slower, mixed with BentoML's, and one for all registries.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

Labels = tuple[str, ...]


class Counter:
    """Events by their labels' values; may be counted by several threads at once."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._counts: dict[Labels, int] = {}
        self._lock = threading.Lock()

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

    def observe(self, labels: Labels, value: float) -> None:
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            observed = self._observed.get(labels)
            if observed is None:
                observed = self._observed[labels] = _Observed([0] * len(self._names))
            observed.counts[bucket] += 1
            observed.sum += value

    def family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            copies = [(labels, [*one.counts], one.sum) for labels, one in self._observed.items()]
        for labels, counts, total in copies:
            buckets = list(zip(self._names, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, total)
        return family
