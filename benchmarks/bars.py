"""What Boxport has to reach, and what it has reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.boxport import NAME
from benchmarks.contenders import HEAT, LIMIT, MAIN_CONNECTIONS, closed, opened
from benchmarks.footprint import BOTH
from benchmarks.packages import INT8, MODELS
from benchmarks.results import Results, Where

PER_SECOND = "per_second"
TAIL_SHARE = 70  # per cent of the capacity

Read = Callable[[Results, str], float | None]  # of a model, by its package's name


@dataclass(frozen=True)
class Bar:
    """A figure with what it must be, ``bar``, and what it should be, ``goal``.

    at_least: whether more is better. unit: of the figure; none of a ratio. precisions: the endings
    of the packages' names that it is asked of.
    """

    name: str
    bar: float
    goal: float
    at_least: bool
    read: Read
    unit: str = ""
    precisions: tuple[str, ...] = ("",)
    models: tuple[str, ...] = tuple(model.name for model in MODELS)

    def judge(self, value: float) -> str:
        """ "goal", "met" or "missed"."""
        for mark, word in ((self.goal, "goal"), (self.bar, "met")):
            if value >= mark if self.at_least else value <= mark:
                return word
        return "missed"


@dataclass(frozen=True)
class Verdict:
    """value: None where it was not measured."""

    bar: Bar
    model: str
    value: float | None

    @property
    def word(self) -> str:
        return "not measured" if self.value is None else self.bar.judge(self.value)


def verdicts(results: Results) -> Iterator[Verdict]:
    for bar in BARS:
        for model in bar.models:
            for precision in bar.precisions:
                name = model + precision
                yield Verdict(bar, name, bar.read(results, name))


def best_layout(results: Results, model: str, photos: str = "small") -> str | None:
    """The limit's fastest."""
    where: Where = {"who": LIMIT, "model": model, "photos": photos, "metric": PER_SECOND}
    return results.best("load", **where)


def best_peers(results: Results, model: str, photos: str = "small") -> list[str]:
    """By their throughput at 16 connections, the greatest first."""
    where: Where = {
        "model": model,
        "photos": photos,
        "load": closed(MAIN_CONNECTIONS),
        "metric": PER_SECOND,
    }
    others = [who for who in results.names("who", **where) if who not in (NAME, LIMIT)]
    medians = {who: results.median(who=who, **where) or 0.0 for who in others}
    return sorted(medians, key=lambda who: -medians[who])


def at_16(model: str, photos: str = HEAT, who: str = NAME, metric: str = PER_SECOND) -> Where:
    load = closed(MAIN_CONNECTIONS)
    return {"who": who, "model": model, "photos": photos, "load": load, "metric": metric}


def share_of_limit(results: Results, model: str) -> float | None:
    return results.ratio(at_16(model), at_16(model, who=LIMIT))


def lone_latency(results: Results, model: str) -> float | None:
    ours = {**at_16(model, metric="p50_ms"), "load": closed(1)}
    return results.ratio(ours, {**ours, "who": LIMIT})


def overhead(results: Results, model: str) -> float | None:
    ours = at_16(model, metric="cpu_ms")
    return results.difference(ours, {**ours, "who": LIMIT})


def over_best_peer(photos: str) -> Read:
    def read(results: Results, model: str) -> float | None:
        """In heats of a package in 8 bits, peers have that in float32."""
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
        return results.median(who=NAME, model=model, load="footprint", metric=metric)

    return read


BOTH_PRECISIONS = ("", INT8)
BARS = (
    Bar(
        "throughput at 16 connections / the limit",
        0.90,
        0.97,
        True,
        share_of_limit,
        precisions=BOTH_PRECISIONS,
    ),
    Bar(
        "p50 at 1 connection / in process, all processors",
        1.15,
        1.05,
        False,
        lone_latency,
        precisions=BOTH_PRECISIONS,
    ),
    Bar(
        "processor time beyond decoding and inference",
        0.6,
        0.3,
        False,
        overhead,
        unit="ms",
        precisions=BOTH_PRECISIONS,
    ),
    Bar("throughput / best peer, 500 x 375", 1.05, 1.15, True, over_best_peer(HEAT)),
    Bar("throughput / best peer, 12 megapixels", 1.8, 3.0, True, over_best_peer("phone")),
    Bar("int8 / best peer's fp32", 2.0, 2.6, True, in_8_bits(over_best_peer(HEAT))),
    Bar("p99 at 70 % load / unloaded p50", 3.0, 2.0, False, tail, precisions=BOTH_PRECISIONS),
    Bar(
        "resident memory after load",
        400,
        300,
        False,
        of_footprint("rss_mb"),
        unit="MB",
        models=(BOTH,),
    ),
    Bar("start to ready", 5, 3, False, of_footprint("start_s"), unit="s", models=(BOTH,)),
)
