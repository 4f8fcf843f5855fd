"""Looking for what serves most photos a second within a bound on the slowest.

One thing is varied at a time, in the order of what it changes: how the processors are divided, then
the size of batches, then what decodes, then what runs the graph. The best
of each round is measured again beside its nearest rivals, in turn, because a machine is never as
fast twice; and at last beside the defaults, which stay unless it is faster by more than chance.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median

from service.inference.layout import Layout
from service.providers import BF16_MIN_GAIN, CPU
from service.settings import ModelSettings
from service.tuning.trial import CALLERS, Choice, Runtime, Speed, Trial, trial_of

BATCHES = (1, 2, 4, 8)
NEAR = 0.9  # of the best: what is slower is not measured again
FINALISTS = 3
MIN_GAIN = 1.02  # times what the defaults give, to change them
MIN_AGREEMENT = 0.97  # of answers in bfloat16 with those in float32, as `export evaluate` has it
ROUNDS = 3  # in which finalists are measured, one after the other


@dataclass(frozen=True)
class Finding:
    """A choice, and how fast it is by how many ask at once.

    agreement: of its answers with those in float32, in 0..1, where it is another precision's.
    """

    choice: Choice
    speeds: tuple[Speed, ...]
    agreement: float | None = None

    def value(self, slo: float) -> float:
        """Photos a second, of the callers with whom the slowest hundredth stays within ``slo``
        seconds; 0 if it does with none."""
        return max((s.per_second for s in self.speeds if s.p99 <= slo), default=0.0)


@dataclass
class Search:
    """Of the best layout and runtime on CPU of one package, <name>/<version>.

    slo: seconds that 99 of 100 photos may take at most. seconds: of each measurement.
    on_finding: hears of each choice once it has been measured.
    runtimes: that are tried beside ONNX Runtime.
    """

    package: Path
    photos: Sequence[bytes]
    cpus: int
    slo: float
    seconds: float
    on_finding: Callable[[Finding], None] = lambda finding: None
    runtimes: Sequence[Runtime] = ()
    findings: dict[Choice, Finding] = field(default_factory=dict)
    measured: int = 0
    """Measurements so far, of ``seconds`` each and what it takes to load a choice."""

    @property
    def model(self) -> str:
        return self.package.parent.name

    @cached_property
    def default(self) -> Choice:
        """What is used where no setting says otherwise."""
        return Choice(Layout.resolve(ModelSettings(), CPU, self.cpus))

    def run(self) -> Finding:
        """The best that is found by varying one thing at a time."""
        best = self._best([self.default.layout])
        best = self._best(divided(best, self.cpus))
        if not self._value(Choice(best)):
            return self.findings[Choice(best)]  # the rest changes less than this
        best = self._best(replace(best, max_batch_size=size) for size in BATCHES)
        best = self._best(replace(best, decode_threads=n) for n in decode_counts(self.cpus))
        return self._worth_it(self._best_runtime(best))

    def measure_grid(self) -> Finding:
        """The best of all layouts, each of which is measured, and of the runtimes with it."""
        best = self._best(grid(self.default.layout, self.cpus))
        return self._worth_it(self._best_runtime(best))

    def most_measurements(self, *, whole_grid: bool) -> int:
        """How many `run` or `measure_grid` takes, if none of its finalists is clearly slower."""
        default = self.default.layout
        once = (divided(default, self.cpus), BATCHES, decode_counts(self.cpus))
        counts = [len(grid(default, self.cpus))] if whole_grid else [len(one) for one in once]
        pairs = len(self.runtimes) + 1
        return 1 + sum(count + FINALISTS * ROUNDS for count in counts) + pairs * 2 * ROUNDS

    def _worth_it(self, best: Choice) -> Finding:
        """``best``, if it is faster than the defaults when both are measured in turn."""
        if best != self.default:
            self._measure_again([self.default, best])
            if self._value(best) <= MIN_GAIN * self._value(self.default):
                best = self.default
        return self.findings[best]

    def _best_runtime(self, layout: Layout) -> Choice:
        """What runs ``layout`` fastest: ONNX Runtime, unless another gains enough for what it
        changes. Of answers in float32 it changes nothing."""
        best = Choice(layout)
        for runtime in self.runtimes:
            choice = Choice(replace(layout, max_batch_size=1), runtime)  # more gain nothing there
            self._measure_again([best, choice])
            gain = MIN_GAIN if runtime.precision == "as_exported" else BF16_MIN_GAIN
            if self._value(choice) <= gain * self._value(best):
                continue
            if runtime.precision == "as_exported" or self._agrees(choice):
                best = choice
        return best

    def _agrees(self, choice: Choice) -> bool:
        """Whether the answers of ``choice`` to all photos are near enough those in float32."""
        with (
            trial_of(self.package, self.default, self.photos) as exact,
            trial_of(self.package, choice, self.photos) as rounded,
        ):
            share = rounded.agreement(exact)
        self.findings[choice] = replace(self.findings[choice], agreement=share)
        return share >= MIN_AGREEMENT

    def _best(self, layouts: Iterable[Layout]) -> Layout:
        choices = [Choice(layout) for layout in layouts]
        for choice in choices:
            if choice not in self.findings:
                with trial_of(self.package, choice, self.photos) as trial:
                    self._note(choice, [self._speeds(trial)])
        ranked = sorted(choices, key=self._value, reverse=True)
        limit = NEAR * self._value(ranked[0])
        finalists = [choice for choice in ranked if self._value(choice) >= limit][:FINALISTS]
        if len(finalists) > 1:
            self._measure_again(finalists)
        return max(finalists, key=self._value).layout

    def _measure_again(self, choices: Sequence[Choice]) -> None:
        with ExitStack() as stack:
            trials = [
                stack.enter_context(trial_of(self.package, choice, self.photos))
                for choice in choices
            ]
            rounds = [[self._speeds(trial) for trial in trials] for _ in range(ROUNDS)]
        for choice, found in zip(choices, zip(*rounds, strict=True), strict=True):
            self._note(choice, found)

    def _speeds(self, trial: Trial) -> list[Speed]:
        self.measured += 1
        return [trial.speed(callers, self.seconds / len(CALLERS)) for callers in CALLERS]

    def _note(self, choice: Choice, rounds: Sequence[Sequence[Speed]]) -> None:
        """Keep the medians over all rounds."""
        before = self.findings.get(choice)
        speeds = tuple(
            Speed(
                same[0].callers,
                median(speed.per_second for speed in same),
                median(speed.p99 for speed in same),
            )
            for same in zip(*rounds, strict=True)
        )
        found = Finding(choice, speeds, before.agreement if before else None)
        self.findings[choice] = found
        self.on_finding(found)

    def _value(self, choice: Choice) -> float:
        return self.findings[choice].value(self.slo)


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
