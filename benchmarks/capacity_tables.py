"""Tables of `benchmarks.capacity`: the simulated queue beside measurements, and machines for a
load."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.boxport import NAME
from benchmarks.capacity import Machine, plan, simulate
from benchmarks.results import Results
from benchmarks.systems import INTERLEAVED
from service.cpus import available_cpus

SATURATED = "closed 16"  # the load at which the cost of a photo is measured
OPEN = ("open 50", "open 70", "open 90")


def measured_models(results: Results) -> list[str]:
    """Names of models that were measured under an open load."""
    return results.names("model", system=NAME, photos=INTERLEAVED, load=OPEN[0])


def measured_machine(results: Results, model: str) -> Machine:
    """The machine of a run, with the cost of a photo at saturation."""
    where = {"system": NAME, "model": model, "photos": INTERLEAVED, "load": SATURATED}
    whole, loop = (results.median(**where, metric=name) for name in ("cpu_ms", "loop_ms"))
    assert whole is not None  # measured wherever an open load is
    assert loop is not None
    return Machine(available_cpus(), [(whole - loop) / 1e3], loop / 1e3)


def compare_queue(results: Results, model: str, machine: Machine) -> Iterator[Sequence[str]]:
    """For each open load: p50 and p99 in ms, as measured and as simulated."""
    for load in OPEN:
        where = {"system": NAME, "model": model, "photos": INTERLEAVED, "load": load}
        rate = results.median(**where, metric="per_second")
        measured = [results.median(**where, metric=name) for name in ("p50_ms", "p99_ms")]
        if rate is None or None in measured:
            continue
        latencies = simulate(machine, 1, min(rate, 0.99 * machine.max_rate), spaced=True)
        queue = np.quantile(latencies, (0.5, 0.99)) * 1e3
        cells = zip(measured, queue, strict=True)
        yield model, load, *(f"{value:.1f}" for pair in cells for value in pair)


def needs(
    machine: Machine, rates: Sequence[float], slo: float, price: float
) -> Iterator[Sequence[str]]:
    """For each rate in photos a second: machines, utilisation, p99 with one down, and the cost of a
    million photos. slo: bound of the p99, in seconds. price: of one machine, an hour."""
    for rate in rates:
        found = plan(machine, rate, slo)
        yield (
            f"{rate:,.0f}",
            f"{found.machines:,}",
            f"{found.utilisation:.0%}",
            f"{found.p99 * 1e3:.0f} ms",
            f"{found.cost_per_million(price):.2f}",
        )
