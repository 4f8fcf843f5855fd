"""How many machines a load needs, from the cost of a photo, by simulating a queue.

    python -m benchmarks capacity --photo-ms 12.6 --slo-p99-ms 200 --rates 1000

Photos arrive at random (a Poisson process). A load balancer sends each to the machine with the
fewest in service. There one event loop takes it, and then the first free processor works on it:
each machine is an M/G/c queue behind a single server.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WARM_UP = 0.1  # share of a simulation's photos, at its begin, that is not counted
PHOTOS = 40_000  # of a simulation
CELL = 16  # machines that are simulated; a larger number is treated as cells of this size
# Utilisation of a machine with one machine down. The queue would allow more, but measured tails are
# longer than simulated ones: batches, single runs, background load (docs/scaling.md).
MAX_UTILISATION = 0.7


@dataclass(frozen=True)
class Machine:
    """processors: each works on one photo at a time. photo: seconds of processor time, a sample.
    loop: seconds of the event loop, before that, the same for every photo.
    """

    processors: int
    photo: Sequence[float]
    loop: float = 0.0

    @property
    def max_rate(self) -> float:
        """Photos a second at full utilisation."""
        work = sum(self.photo) / len(self.photo)
        return min(self.processors / (work + self.loop), 1 / self.loop if self.loop else math.inf)


class Replica:
    """The state of a machine: when its event loop and each processor will be free, and the ends of
    photos in service."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._loop_free = 0.0
        self._free = [0.0] * machine.processors
        self._ends: list[float] = []

    def in_service(self, now: float) -> int:
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        return len(self._ends)

    def take(self, now: float, work: float) -> float:
        """When a photo that arrives ``now`` and takes ``work`` seconds is answered."""
        self._loop_free = max(now, self._loop_free) + self._machine.loop
        begins = max(self._loop_free, heapq.heappop(self._free))
        heapq.heappush(self._free, begins + work)
        heapq.heappush(self._ends, begins + work)
        return begins + work


def simulate(
    machine: Machine,
    machines: int,
    rate: float,
    photos: int = PHOTOS,
    *,
    spaced: bool = False,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Latencies in seconds of ``photos`` that arrive at ``rate`` a second for all machines, less
    the warm-up.

    spaced: whether they arrive evenly, as those of the load generator do, and not at random.
    """
    random = np.random.default_rng(seed)
    gaps = np.full(photos, 1 / rate) if spaced else random.exponential(1 / rate, photos)
    arrivals = gaps.cumsum()
    works = random.choice(np.asarray(machine.photo), photos)
    replicas = [Replica(machine) for _ in range(machines)]
    latencies = np.empty(photos)
    for number, (now, work) in enumerate(zip(arrivals.tolist(), works.tolist(), strict=True)):
        least = min(replicas, key=lambda replica: replica.in_service(now))
        latencies[number] = least.take(now, work) - now
    return latencies[int(WARM_UP * photos) :]


def p99(machine: Machine, machines: int, rate: float, **options: int) -> float:
    return float(np.quantile(simulate(machine, machines, rate, **options), 0.99))


@dataclass(frozen=True)
class Plan:
    """machines: for ``rate`` photos a second, one spare included. utilisation: 0 to 1, with all of
    them up. p99: seconds, with one down.
    """

    rate: float
    machines: int
    utilisation: float
    p99: float

    def cost_per_million(self, price_per_hour: float) -> float:
        """The cost of a million photos at ``rate``, with ``price_per_hour`` of one machine."""
        return self.machines * price_per_hour / 3600 / self.rate * 1e6


def plan(machine: Machine, rate: float, slo: float, **options: int) -> Plan:
    """The fewest machines that, with one down, serve ``rate`` photos a second with a p99 of at most
    ``slo`` seconds and a utilisation of at most `MAX_UTILISATION`.

    Raises ValueError if no number does: a single photo takes longer.
    """
    needed = next(
        (n for n in _candidates(machine, rate) if _is_enough(machine, n, rate, slo, options)), None
    )
    if needed is None:
        raise ValueError(f"99 of 100 photos within {slo * 1000:g} ms: a single one takes longer")
    cell, share = _cell(needed, rate)
    found = p99(machine, cell, share, **options)
    machines = needed + 1
    return Plan(rate, machines, rate / (machines * machine.max_rate), found)


def _is_enough(
    machine: Machine, machines: int, rate: float, slo: float, options: dict[str, int]
) -> bool:
    cell, share = _cell(machines, rate)
    return p99(machine, cell, share, **options) <= slo


def _cell(machines: int, rate: float) -> tuple[int, float]:
    """The machines that are simulated, and their share of the rate."""
    cell = min(machines, CELL)
    return cell, rate * cell / machines


def _candidates(machine: Machine, rate: float) -> Iterator[int]:
    """Numbers of machines to try: from the fewest that can do the work to four times as many, in
    steps of a hundredth."""
    number = max(1, math.ceil(rate / (machine.max_rate * MAX_UTILISATION)))
    last = 4 * number + 1
    while number <= last:
        yield number
        number += max(1, number // 100)
