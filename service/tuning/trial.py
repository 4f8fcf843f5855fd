"""Serving photos with one layout for a few seconds, without HTTP, to see how fast it is."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.layout import Layout
from service.inference.model import PARAMETERS
from service.problems import Problem
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState

CALLERS = (1, 4, 16)  # each sends one photo after the other
DEADLINE_SECONDS = 60.0
WARM_UP_SHARE = 0.2  # of a measurement's time, before it begins


@dataclass(frozen=True)
class Speed:
    """callers: how many ask at once. per_second: photos. p99: seconds."""

    callers: int
    per_second: float
    p99: float


class Trial:
    """A model served in this process, on the event loop of ``runner``.

    The loop must outlive the engine, whose threads may still be waking it.
    """

    def __init__(self, runner: asyncio.Runner, engine: Engine, photos: Sequence[bytes]) -> None:
        self._runner, self._engine = runner, engine
        self._task = engine.repository.models[0].manifest.task
        self._photos = itertools.cycle(photos)

    def speed(self, callers: int, seconds: float) -> Speed:
        """Let ``callers`` ask for ``seconds``, each for one photo at least; raises Problem for a
        photo that cannot be read."""
        self._runner.run(self._drive(callers, seconds * WARM_UP_SHARE))
        latencies, elapsed = self._runner.run(self._drive(callers, seconds))
        return Speed(callers, len(latencies) / elapsed, float(np.quantile(latencies, 0.99)))

    async def _drive(self, callers: int, seconds: float) -> tuple[list[float], float]:
        latencies: list[float] = []
        parameters = PARAMETERS[self._task]()
        begin = time.perf_counter()

        async def ask() -> None:
            while True:
                started = time.perf_counter()
                policy = RequestPolicy(Deadline.after(DEADLINE_SECONDS))
                photo = next(self._photos)
                answer = await self._engine.answer(self._task, [photo], parameters, policy)
                (result,) = answer.results
                if isinstance(result, Problem):
                    raise result
                ended = time.perf_counter()
                latencies.append(ended - started)
                if ended - begin >= seconds:
                    return

        await asyncio.gather(*(ask() for _ in range(callers)))
        return latencies, time.perf_counter() - begin


@contextmanager
def trial_of(package: Path, layout: Layout, photos: Sequence[bytes]) -> Iterator[Trial]:
    """Serve the one ``package``, <name>/<version>, with ``layout``; raises PackageError."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        (store / package.parent.name).mkdir()
        (store / package.parent.name / package.name).symlink_to(package.resolve())
        settings = Settings(
            model_store=store,
            watch_seconds=0,
            models={},
            decoding="in_process",
            **settings_of(layout),
        )
        engine = Engine(settings, Metrics(ServiceState))
        try:
            yield Trial(runner, engine, photos)
        finally:
            engine.close()


def settings_of(layout: Layout) -> dict[str, Any]:
    """What is tuned, as the model's own table of the settings file has it."""
    tuned = ("concurrent_runs", "threads", "max_batch_size", "decode_threads")
    return {name: getattr(layout, name) for name in tuned}
