"""How a model may be laid out on the processors of a machine."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Layout:
    """The settings that decide how fast one model is served on a CPU.

    decode_threads: with 0 each run decodes its own photos.
    """

    concurrent_runs: int
    threads: int
    max_batch_size: int
    decode_threads: int

    @property
    def of_model(self) -> dict[str, Any]:
        """What stands in the model's own table of the settings file."""
        return asdict(self)

    def __str__(self) -> str:
        apart = f", {self.decode_threads} decoding" if self.decode_threads else ""
        return (
            f"{self.concurrent_runs} x {self.threads} threads, batches of {self.max_batch_size}"
            f"{apart}"
        )


def default_layout(cpus: int) -> Layout:
    """What is used where no setting says otherwise."""
    return Layout(concurrent_runs=cpus, threads=1, max_batch_size=2, decode_threads=0)


def divisions(cpus: int) -> list[tuple[int, int]]:
    """Runs at once and threads of each: those that fill the processors, and one run more."""
    filling = [(runs, cpus // runs) for runs in range(1, cpus + 1) if cpus % runs == 0]
    return [*filling, (cpus + 1, 1)]


def decode_counts(cpus: int) -> list[int]:
    """0, the runs themselves; or so many beside them: powers of two up to the processors."""
    return sorted({0, *(2**i for i in range(cpus.bit_length()) if 2**i <= cpus), cpus})


def grid(cpus: int) -> Iterator[Layout]:
    """Every layout that is thought of."""
    for runs, threads in divisions(cpus):
        for batch in BATCHES:
            for decoding in decode_counts(cpus):
                yield Layout(runs, threads, batch, decoding)
