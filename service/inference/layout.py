"""How a model is laid out on a machine: what runs at once, on how many threads, in what batches."""

from dataclasses import dataclass

from service.providers import ExecutionProvider
from service.settings import ModelSettings


@dataclass(frozen=True)
class Layout:
    """concurrent_runs: batches at once, each on ``threads`` threads of a CPU.
    max_batch_size: images of one batch at most.
    decode_threads: that decode photos before they are batched; with 0 each run decodes its own.
    latency_threads: of a run that has the machine to itself.
    """

    concurrent_runs: int
    threads: int
    max_batch_size: int
    decode_threads: int
    latency_threads: int

    @classmethod
    def resolve(cls, settings: ModelSettings, provider: ExecutionProvider, cpus: int) -> "Layout":
        """The ``settings``, and where they are silent what suits the ``provider`` that is asked for
        on ``cpus`` processors."""
        threads = settings.threads or 1
        decode_threads = settings.decode_threads
        if decode_threads is None:
            decode_threads = 0 if provider.runs_per_cpu else cpus
        return cls(
            settings.concurrent_runs or (cpus if provider.runs_per_cpu else 1),
            threads,
            settings.max_batch_size or provider.max_batch_size,
            decode_threads,
            settings.latency_threads
            or (max(threads, cpus) if provider.latency_session else threads),
        )

    def __str__(self) -> str:
        apart = f", {self.decode_threads} decoding" if self.decode_threads else ""
        return (
            f"{self.concurrent_runs} x {self.threads} threads, batches of {self.max_batch_size}"
            f"{apart}"
        )
