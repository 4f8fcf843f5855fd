"""The figures that Boxport has to reach, and those that it has reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.boxport import NAME
from benchmarks.footprint import BOTH
from benchmarks.packages import INT8, MODELS
from benchmarks.results import Results, Where
from benchmarks.systems import INTERLEAVED, MAIN_CONNECTIONS, UPPER_BOUND, closed, opened

PER_SECOND = "per_second"
TAIL_SHARE = 70  # arrival rate of the tail latency's open loop, in per cent of the throughput

Read = Callable[[Results, str], float | None]  # the figure of a model, by its package's name


@dataclass(frozen=True)
class Target:
    """A figure with the value that it must reach, ``required``, and a better one, ``goal``.

    at_least: whether more is better. unit: of the figure; empty for a ratio. models, precisions:
    names of packages and their endings, for each of which there is a figure.
    """

    name: str
    required: float
    goal: float
    at_least: bool
    read: Read
    unit: str = ""
    precisions: tuple[str, ...] = ("",)
    models: tuple[str, ...] = tuple(model.name for model in MODELS)

    def judge(self, value: float) -> str:
        """ "goal", "met" or "missed"."""
        for bound, word in ((self.goal, "goal"), (self.required, "met")):
            if value >= bound if self.at_least else value <= bound:
                return word
        return "missed"


@dataclass(frozen=True)
class Verdict:
    """``value`` of ``target`` for ``model``; None if it was not measured."""

    target: Target
    model: str
    value: float | None

    @property
    def word(self) -> str:
        return "not measured" if self.value is None else self.target.judge(self.value)


def verdicts(results: Results) -> Iterator[Verdict]:
    """One for each target, model and precision."""
    for target in TARGETS:
        for model in target.models:
            for precision in target.precisions:
                name = model + precision
                yield Verdict(target, name, target.read(results, name))


def best_layout(results: Results, model: str, photos: str = "small") -> str | None:
    """The fastest layout of the upper bound."""
    where: Where = {"system": UPPER_BOUND, "model": model, "photos": photos, "metric": PER_SECOND}
    return results.best("load", **where)


def best_peers(results: Results, model: str, photos: str = "small") -> list[str]:
    """Names of peers by their throughput at 16 connections, the fastest first."""
    where: Where = {
        "model": model,
        "photos": photos,
        "load": closed(MAIN_CONNECTIONS),
        "metric": PER_SECOND,
    }
    peers = [
        system for system in results.names("system", **where) if system not in (NAME, UPPER_BOUND)
    ]
    medians = {system: results.median(system=system, **where) or 0.0 for system in peers}
    return sorted(medians, key=lambda system: -medians[system])


def at_16(
    model: str, photos: str = INTERLEAVED, system: str = NAME, metric: str = PER_SECOND
) -> Where:
    """Selects observations at 16 connections."""
    load = closed(MAIN_CONNECTIONS)
    return {"system": system, "model": model, "photos": photos, "load": load, "metric": metric}


def share_of_upper_bound(results: Results, model: str) -> float | None:
    return results.ratio(at_16(model), at_16(model, system=UPPER_BOUND))


def unloaded_latency(results: Results, model: str) -> float | None:
    ours = {**at_16(model, metric="p50_ms"), "load": closed(1)}
    return results.ratio(ours, {**ours, "system": UPPER_BOUND})


def overhead(results: Results, model: str) -> float | None:
    ours = at_16(model, metric="cpu_ms")
    return results.difference(ours, {**ours, "system": UPPER_BOUND})


def over_best_peer(photos: str) -> Read:
    def read(results: Results, model: str) -> float | None:
        """In rounds of a package in 8 bits, peers have that in float32."""
        ratios = [
            results.ratio(at_16(model, photos), at_16(model, photos, peer))
            for peer in best_peers(results, model, photos)
        ]
        return min((ratio for ratio in ratios if ratio is not None), default=None)

    return read


def in_8_bits(read: Read) -> Read:
    return lambda results, model: read(results, model + INT8)


def tail(results: Results, model: str) -> float | None:
    ours = at_16(model)
    return results.ratio(
        {**ours, "load": opened(TAIL_SHARE), "metric": "p99_ms"},
        {**ours, "load": closed(1), "metric": "p50_ms"},
    )


def of_footprint(metric: str) -> Read:
    def read(results: Results, model: str) -> float | None:
        return results.median(system=NAME, model=model, load="footprint", metric=metric)

    return read


BOTH_PRECISIONS = ("", INT8)
TARGETS = (
    Target(
        "throughput at 16 connections / upper bound",
        0.90,
        0.97,
        True,
        share_of_upper_bound,
        precisions=BOTH_PRECISIONS,
    ),
    Target(
        "p50 at 1 connection / in process, all processors",
        1.15,
        1.05,
        False,
        unloaded_latency,
        precisions=BOTH_PRECISIONS,
    ),
    Target(
        "processor time beyond decoding and inference",
        0.6,
        0.3,
        False,
        overhead,
        unit="ms",
        precisions=BOTH_PRECISIONS,
    ),
    Target("throughput / best peer, 500 x 375", 1.05, 1.15, True, over_best_peer(INTERLEAVED)),
    Target("throughput / best peer, 12 megapixels", 1.8, 3.0, True, over_best_peer("phone")),
    Target("int8 / best peer's fp32", 2.0, 2.6, True, in_8_bits(over_best_peer(INTERLEAVED))),
    Target("p99 at 70 % load / unloaded p50", 3.0, 2.0, False, tail, precisions=BOTH_PRECISIONS),
    Target(
        "resident memory after load",
        400,
        300,
        False,
        of_footprint("rss_mb"),
        unit="MB",
        models=(BOTH,),
    ),
    Target("start to ready", 5, 3, False, of_footprint("start_s"), unit="s", models=(BOTH,)),
)
