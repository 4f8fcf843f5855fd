"""What the queue of `benchmarks.capacity` says, beside what was seen, and what a load needs."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.boxport import NAME
from benchmarks.capacity import Machine, plan, simulate
from benchmarks.contenders import HEAT
from benchmarks.results import Results
from service.cpus import available_cpus

BUSY = "closed 16"  # the load whose cost a photo is taken to have
OPEN = ("open 50", "open 70", "open 90")


def measured_models(results: Results) -> list[str]:
    """The models that were under an open load, with small photos."""
    return results.names("model", who=NAME, photos=HEAT, load=OPEN[0])


def measured_machine(results: Results, model: str) -> Machine:
    """The machine of a run: what a photo took of it with everything busy."""
    where = {"who": NAME, "model": model, "photos": HEAT, "load": BUSY}
    whole, loop = (results.median(**where, metric=name) for name in ("cpu_ms", "loop_ms"))
    assert whole is not None  # what has an open load has this
    assert loop is not None
    return Machine(available_cpus(), [(whole - loop) / 1e3], loop / 1e3)


def seen_beside(results: Results, model: str, machine: Machine) -> Iterator[Sequence[str]]:
    """For each open load: p50 and p99 in ms, as they were seen and as the queue has them."""
    for load in OPEN:
        where = {"who": NAME, "model": model, "photos": HEAT, "load": load}
        rate = results.median(**where, metric="per_second")
        seen = [results.median(**where, metric=name) for name in ("p50_ms", "p99_ms")]
        if rate is None or None in seen:
            continue
        latencies = simulate(machine, 1, min(rate, 0.99 * machine.most), spaced=True)
        queue = np.quantile(latencies, (0.5, 0.99)) * 1e3
        cells = zip(seen, queue, strict=True)
        yield model, load, *(f"{value:.1f}" for pair in cells for value in pair)


def needs(
    machine: Machine, rates: Sequence[float], slo: float, price: float
) -> Iterator[Sequence[str]]:
    """For each rate: machines, how busy they are, p99 with one gone, and what a million costs."""
    for rate in rates:
        found = plan(machine, rate, slo)
        yield (
            f"{rate:,.0f}",
            f"{found.machines:,}",
            f"{found.busy:.0%}",
            f"{found.p99 * 1e3:.0f} ms",
            f"{found.cost_per_million(price):.2f}",
        )
