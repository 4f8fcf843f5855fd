"""From what a photo costs to the machines that a load needs: a queue, simulated.

    python -m benchmarks capacity --photo-ms 12.6 --slo-p99-ms 200 --rate 1000

Photos come at random (a Poisson process). A balancer gives each to the machine that has fewest in
service. There one event loop takes it, and then the first free of the machine's processors works on
it for as long as it takes: an M/G/c queue behind a server of its own, for each machine.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WARM_UP = 0.1  # of a simulation's photos, from empty machines: not counted
PHOTOS = 40_000  # of a simulation
CELL = 16  # machines that are simulated; more of them behave as cells of so many side by side
# Of a machine's most, with one machine gone. The queue would allow more; seen are tails that it
# does not have, of batches, lone runs and whatever else a machine does (docs/scaling.md).
MOST_BUSY = 0.7


@dataclass(frozen=True)
class Machine:
    """processors: that work on photos, one photo each at a time. photo: seconds of a processor for
    each of a sample of photos. loop: seconds of the event loop for any, which come first.
    """

    processors: int
    photo: Sequence[float]
    loop: float = 0.0

    @property
    def most(self) -> float:
        """Photos a second that it could serve if they came as it likes."""
        work = sum(self.photo) / len(self.photo)
        return min(self.processors / (work + self.loop), 1 / self.loop if self.loop else math.inf)


class Replica:
    """A machine at work: when its loop and each processor will be free, and what it still has."""

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
        """When a photo that comes ``now`` and takes ``work`` seconds is answered."""
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
    """Seconds from coming to answer of each of ``photos``, ``rate`` a second for all machines.

    spaced: whether they come evenly, as those of the load generator do, and not at random.
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
    """machines: for ``rate`` photos a second, one that may fail included. busy: the share of their
    processors that works, all being well. p99: seconds, with one of them gone.
    """

    rate: float
    machines: int
    busy: float
    p99: float

    def cost_per_million(self, price_per_hour: float) -> float:
        """Of photos, at ``price_per_hour`` of one machine and ``rate`` all day."""
        return self.machines * price_per_hour / 3600 / self.rate * 1e6


def plan(machine: Machine, rate: float, slo: float, **options: int) -> Plan:
    """The fewest machines that serve ``rate`` within ``slo``, no busier than `MOST_BUSY`, while one
    is gone.

    Raises ValueError if no number does: a photo alone takes longer.
    """
    needed = next(
        (n for n in _candidates(machine, rate) if _is_enough(machine, n, rate, slo, options)), None
    )
    if needed is None:
        raise ValueError(f"99 of 100 photos within {slo * 1000:g} ms: one alone takes longer")
    cell, share = _cell(needed, rate)
    found = p99(machine, cell, share, **options)
    machines = needed + 1
    return Plan(rate, machines, rate / (machines * machine.most), found)


def _is_enough(
    machine: Machine, machines: int, rate: float, slo: float, options: dict[str, int]
) -> bool:
    cell, share = _cell(machines, rate)
    return p99(machine, cell, share, **options) <= slo


def _cell(machines: int, rate: float) -> tuple[int, float]:
    """As many of the machines as are simulated, and their share of the rate."""
    cell = min(machines, CELL)
    return cell, rate * cell / machines


def _candidates(machine: Machine, rate: float) -> Iterator[int]:
    """Numbers of machines worth trying: from what the work needs to a quarter as busy, in steps of
    a hundredth."""
    number = max(1, math.ceil(rate / (machine.most * MOST_BUSY)))
    last = 4 * number + 1
    while number <= last:
        yield number
        number += max(1, number // 100)
