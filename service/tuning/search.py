"""Looking for the layout that serves most photos a second within a bound on the slowest.

One thing is varied at a time, in the order of what it changes: how the processors are divided, then
the size of batches, then what decodes. The best of each round is measured again beside
its nearest rivals, in turn, because a machine is never as fast twice; and at last beside the
defaults, which stay unless it is faster by more than chance.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median

from service.inference.layout import Layout
from service.providers import CPU
from service.settings import ModelSettings
from service.tuning.trial import CALLERS, Speed, Trial, trial_of

BATCHES = (1, 2, 4, 8)
NEAR = 0.9  # of the best: what is slower is not measured again
FINALISTS = 3
MIN_GAIN = 1.02  # times what the defaults give, to change them
ROUNDS = 3  # in which finalists are measured, one after the other


@dataclass(frozen=True)
class Finding:
    """A layout, and how fast it is by how many ask at once."""

    layout: Layout
    speeds: tuple[Speed, ...]

    def value(self, slo: float) -> float:
        """Photos a second, of the callers with whom the slowest hundredth stays within ``slo``
        seconds; 0 if it does with none."""
        return max((s.per_second for s in self.speeds if s.p99 <= slo), default=0.0)


@dataclass
class Search:
    """Of the best layout on CPU of one package, <name>/<version>.

    slo: seconds that 99 of 100 photos may take at most. seconds: of each measurement.
    on_finding: hears of each layout once it has been measured.
    """

    package: Path
    photos: Sequence[bytes]
    cpus: int
    slo: float
    seconds: float
    on_finding: Callable[[Finding], None] = lambda finding: None
    findings: dict[Layout, Finding] = field(default_factory=dict)
    measured: int = 0
    """Measurements so far, of ``seconds`` each and what it takes to load a layout."""

    @property
    def model(self) -> str:
        return self.package.parent.name

    @cached_property
    def default(self) -> Layout:
        """What is used where no setting says otherwise."""
        return Layout.resolve(ModelSettings(), CPU, self.cpus)

    def run(self) -> Finding:
        """The best that is found by varying one thing at a time."""
        best = self._best([self.default])
        best = self._best(divided(best, self.cpus))
        if not self._value(best):
            return self.findings[best]  # the rest changes less than this
        best = self._best(replace(best, max_batch_size=size) for size in BATCHES)
        best = self._best(replace(best, decode_threads=n) for n in decode_counts(self.cpus))
        return self._worth_it(best)

    def measure_grid(self) -> Finding:
        """The best of all layouts, each of which is measured."""
        return self._worth_it(self._best(grid(self.default, self.cpus)))

    def most_measurements(self, *, whole_grid: bool) -> int:
        """How many `run` or `measure_grid` takes, if none of its finalists is clearly slower."""
        once = (divided(self.default, self.cpus), BATCHES, decode_counts(self.cpus))
        counts = [len(grid(self.default, self.cpus))] if whole_grid else [len(one) for one in once]
        return 1 + sum(count + FINALISTS * ROUNDS for count in counts) + 2 * ROUNDS

    def _worth_it(self, best: Layout) -> Finding:
        """``best``, if it is faster than the defaults when both are measured in turn."""
        if best != self.default:
            self._measure_again([self.default, best])
            if self._value(best) <= MIN_GAIN * self._value(self.default):
                best = self.default
        return self.findings[best]

    def _best(self, layouts: Iterable[Layout]) -> Layout:
        layouts = list(layouts)
        for layout in layouts:
            if layout not in self.findings:
                with trial_of(self.package, layout, self.photos) as trial:
                    self._note(layout, [self._speeds(trial)])
        ranked = sorted(layouts, key=self._value, reverse=True)
        limit = NEAR * self._value(ranked[0])
        finalists = [layout for layout in ranked if self._value(layout) >= limit][:FINALISTS]
        if len(finalists) > 1:
            self._measure_again(finalists)
        return max(finalists, key=self._value)

    def _measure_again(self, layouts: Sequence[Layout]) -> None:
        with ExitStack() as stack:
            trials = [
                stack.enter_context(trial_of(self.package, layout, self.photos))
                for layout in layouts
            ]
            rounds = [[self._speeds(trial) for trial in trials] for _ in range(ROUNDS)]
        for layout, found in zip(layouts, zip(*rounds, strict=True), strict=True):
            self._note(layout, found)

    def _speeds(self, trial: Trial) -> list[Speed]:
        self.measured += 1
        return [trial.speed(callers, self.seconds / len(CALLERS)) for callers in CALLERS]

    def _note(self, layout: Layout, rounds: Sequence[Sequence[Speed]]) -> None:
        """Keep the medians over all rounds."""
        speeds = tuple(
            Speed(
                same[0].callers,
                median(speed.per_second for speed in same),
                median(speed.p99 for speed in same),
            )
            for same in zip(*rounds, strict=True)
        )
        self.findings[layout] = Finding(layout, speeds)
        self.on_finding(self.findings[layout])

    def _value(self, layout: Layout) -> float:
        return self.findings[layout].value(self.slo)


def divided(layout: Layout, cpus: int) -> list[Layout]:
    """``layout`` with runs and threads that fill the processors, and with one run more."""
    divisions = [(runs, cpus // runs) for runs in range(1, cpus + 1) if cpus % runs == 0]
    return [
        replace(layout, concurrent_runs=runs, threads=threads)
        for runs, threads in [*divisions, (cpus + 1, 1)]
    ]


def decode_counts(cpus: int) -> list[int]:
    """0, the runs themselves; or so many beside them: powers of two up to the processors."""
    return sorted({0, *(2**i for i in range(cpus.bit_length()) if 2**i <= cpus), cpus})


def grid(default: Layout, cpus: int) -> list[Layout]:
    """Every layout that is considered."""
    return [
        replace(layout, max_batch_size=size, decode_threads=decoding)
        for layout in divided(default, cpus)
        for size in BATCHES
        for decoding in decode_counts(cpus)
    ]
