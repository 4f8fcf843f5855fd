"""Looking for the layout that serves most photos a second within a bound on the slowest.

One thing is varied at a time, in the order of what it changes: how the processors are divided, then
the size of batches, then what decodes. The best of each round is measured again beside
its nearest rivals, in turn, because a machine is never as fast twice; and at last beside the
defaults, which stay unless it is faster by more than chance.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from service.inference.layout import Layout
from service.tuning.layout import BATCHES, decode_counts, default_layout, divisions
from service.tuning.trial import CALLERS, Speed, Trial, trial_of

NEAR = 0.9  # of the best: what is slower is not measured again
FINALISTS = 3
WORTH = 1.02  # times what the defaults give: a setting for less would be one for nothing
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
    """Of one package's best layout.

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

    def run(self) -> Finding:
        """The best that is found by varying one thing at a time."""
        best = self._best([default_layout(self.cpus)])
        best = self._best(
            replace(best, concurrent_runs=runs, threads=threads)
            for runs, threads in divisions(self.cpus)
        )
        if not self._value(best):
            return self.findings[best]  # the rest changes less than this
        best = self._best(replace(best, max_batch_size=size) for size in BATCHES)
        best = self._best(replace(best, decode_threads=n) for n in decode_counts(self.cpus))
        return self._worth_it(best)

    def measure_all(self, layouts: Iterable[Layout]) -> Finding:
        """The best of ``layouts``, all of which are measured; the defaults are one of them."""
        return self._worth_it(self._best(layouts))

    def _worth_it(self, best: Layout) -> Finding:
        """``best``, if it is faster than the defaults when both are measured in turn."""
        default = default_layout(self.cpus)
        if best != default:
            self._measure_again([default, best])
            if self._value(best) <= WORTH * self._value(default):
                best = default
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
