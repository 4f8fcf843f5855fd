"""How a model may be laid out on the processors of a machine."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Layout:
    """The settings that decide how fast one model is served on a CPU.

    concurrent_runs, threads, max_batch_size: of the model. decode_threads: of the service.
    """

    concurrent_runs: int
    threads: int
    max_batch_size: int
    decode_threads: int

    @property
    def of_model(self) -> dict[str, Any]:
        """What stands in the model's own table of the settings file."""
        return {name: value for name, value in asdict(self).items() if name != "decode_threads"}

    def __str__(self) -> str:
        return (
            f"{self.concurrent_runs} x {self.threads} threads, batches of {self.max_batch_size},"
            f" {self.decode_threads} decoding"
        )


def default_layout(cpus: int) -> Layout:
    """What is used where no setting says otherwise."""
    return Layout(concurrent_runs=cpus, threads=1, max_batch_size=2, decode_threads=cpus)


def divisions(cpus: int) -> list[tuple[int, int]]:
    """Runs at once and threads of each: those that fill the processors, and one run more."""
    filling = [(runs, cpus // runs) for runs in range(1, cpus + 1) if cpus % runs == 0]
    return [*filling, (cpus + 1, 1)]


def decode_counts(cpus: int) -> list[int]:
    """Photos that are decoded at once: powers of two up to the processors."""
    return sorted({*(2**i for i in range(cpus.bit_length()) if 2**i <= cpus), cpus})


def grid(cpus: int) -> Iterator[Layout]:
    """Every layout that is thought of."""
    for runs, threads in divisions(cpus):
        for batch in BATCHES:
            for decoding in decode_counts(cpus):
                yield Layout(runs, threads, batch, decoding)
