"""Serving photos in one way for a few seconds, without HTTP, to see how fast it is."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.layout import Layout
from service.inference.model import PARAMETERS
from service.inference.task import Result, Row
from service.matching import agreement
from service.problems import Problem
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState

CALLERS = (1, 4, 16)  # each sends one photo after the other
DEADLINE_SECONDS = 60.0
WARM_UP_SHARE = 0.2  # of a measurement's time, before it begins


@dataclass(frozen=True)
class Runtime:
    """What runs a graph, and in what precision, as the settings of the same names have it."""

    runtime: Literal["onnxruntime", "openvino"]
    precision: Literal["as_exported", "bf16"]


ONNX_RUNTIME = Runtime("onnxruntime", "as_exported")
OPENVINO_RUNTIMES = (Runtime("openvino", "as_exported"), Runtime("openvino", "bf16"))


@dataclass(frozen=True)
class Choice:
    """A way to run a model."""

    layout: Layout
    run_by: Runtime = ONNX_RUNTIME

    def __str__(self) -> str:
        in_bf16 = " in bfloat16" if self.run_by.precision == "bf16" else ""
        return f"{self.layout}" + ("" if self.run_by == ONNX_RUNTIME else f", OpenVINO{in_bf16}")

    @property
    def settings(self) -> dict[str, Any]:
        """What is tuned, as the model's own table of the settings file has it."""
        tuned = ("concurrent_runs", "threads", "max_batch_size", "decode_threads")
        return {name: getattr(self.layout, name) for name in tuned} | asdict(self.run_by)


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
        self._photos, self._turns = photos, itertools.cycle(photos)

    def speed(self, callers: int, seconds: float) -> Speed:
        """Let ``callers`` ask for ``seconds``, each for one photo at least; raises Problem for a
        photo that cannot be read."""
        self._runner.run(self._drive(callers, seconds * WARM_UP_SHARE))
        latencies, elapsed = self._runner.run(self._drive(callers, seconds))
        return Speed(callers, len(latencies) / elapsed, float(np.quantile(latencies, 0.99)))

    def agreement(self, other: "Trial") -> float:
        """How far its answers to all photos agree with those of ``other``, in 0..1; 1 if neither
        finds anything. Raises Problem for a photo that cannot be read."""
        pairs = zip(self._answers(), other._answers(), strict=True)
        agreed = total = 0
        for pair in pairs:
            of_photo = agreement(self._task, *pair)
            agreed, total = agreed + of_photo[0], total + of_photo[1]
        return agreed / total if total else 1.0

    def _answers(self) -> list[list[Row]]:
        """Each photo's rows."""
        rows_name = self._engine.repository.models[0].predictor.rows_name
        return [self._runner.run(self._answer(photo))[rows_name] for photo in self._photos]

    async def _answer(self, photo: bytes) -> Result:
        policy = RequestPolicy(Deadline.after(DEADLINE_SECONDS))
        answer = await self._engine.answer(self._task, [photo], PARAMETERS[self._task](), policy)
        (result,) = answer.results
        if isinstance(result, Problem):
            raise result
        return result

    async def _drive(self, callers: int, seconds: float) -> tuple[list[float], float]:
        latencies: list[float] = []
        begin = time.perf_counter()

        async def ask() -> None:
            while True:
                started = time.perf_counter()
                await self._answer(next(self._turns))
                ended = time.perf_counter()
                latencies.append(ended - started)
                if ended - begin >= seconds:
                    return

        await asyncio.gather(*(ask() for _ in range(callers)))
        return latencies, time.perf_counter() - begin


@contextmanager
def trial_of(package: Path, choice: Choice, photos: Sequence[bytes]) -> Iterator[Trial]:
    """Serve the one ``package``, <name>/<version>, as ``choice`` has it; raises PackageError."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        (store / package.parent.name).mkdir()
        (store / package.parent.name / package.name).symlink_to(package.resolve())
        settings = Settings(
            model_store=store,
            watch_seconds=0,
            models={},
            decoding="in_process",
            **choice.settings,
        )
        engine = Engine(settings, Metrics(ServiceState))
        try:
            yield Trial(runner, engine, photos)
        finally:
            engine.close()
