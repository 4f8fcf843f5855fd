"""The layouts that are tried: how a model may be served on the processors of a machine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from service.inference.layout import Layout
from service.providers import CPU
from service.settings import ModelSettings

BATCHES = (1, 2, 4, 8)
TUNED = ("concurrent_runs", "threads", "max_batch_size", "decode_threads")


def default_layout(cpus: int) -> Layout:
    """What is used where no setting says otherwise."""
    return Layout.resolve(ModelSettings(), CPU, cpus)


def settings_of(layout: Layout) -> dict[str, Any]:
    """What is written to the model's own table of the settings file."""
    return {name: getattr(layout, name) for name in TUNED}


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
                yield replace(
                    default_layout(cpus),
                    concurrent_runs=runs,
                    threads=threads,
                    max_batch_size=batch,
                    decode_threads=decoding,
                )
