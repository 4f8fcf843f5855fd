"""The engine: from the bytes of images to answers, whatever protocol they came by.

admission ─► the model of the repository ─► each image through it (`service.inference.model`)
"""

import time
from asyncio import CancelledError, gather
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.cpus import own_processors
from service.engine.admission import Admission
from service.imaging.resize import ModelInput
from service.inference.affinity import CorePool
from service.inference.deadline import RequestPolicy
from service.inference.decoder import open_isolation
from service.inference.model import LoadedModel, Shared
from service.inference.task import Job, Result
from service.manifest import ModelManifest, Task
from service.parameters import RequestParameters
from service.problems import Problem
from service.repository.loader import load_model
from service.repository.repository import ModelRepository
from service.repository.watcher import Watcher
from service.settings import Settings
from service.telemetry.logs import logger
from service.telemetry.metrics import Metrics, ModelState, ServiceState
from service.telemetry.record import OK, STAGES


class RemoteImage(Protocol):
    """An image that is not here yet."""

    async def read(self) -> bytes:
        """Its file's bytes; raises Problem."""


Content = bytes | RemoteImage | ModelInput | Problem


@dataclass
class Times:
    """When an image's work began, by `time.perf_counter`, and the seconds that it then spent in
    each of `STAGES` that it came to, in that order."""

    started: float
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a model says of the images of one request, in their order.

    results: of each image as the HTTP API shows it (docs/api.md), or its Problem.
    times: of each image.
    total: seconds from the request to the answer.
    """

    manifest: ModelManifest
    results: list[Result | Problem]
    times: list[Times]
    total: float

    @property
    def seconds(self) -> dict[str, float]:
        """Of the slowest image in each of `STAGES`, and "total"."""
        slowest = {
            stage: max(times.stages.get(stage, 0.0) for times in self.times) for stage in STAGES
        }
        return {**slowest, "total": self.total}


class Engine:
    """Holds the models of the store, warm, and answers requests to them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Open, and run once, every package; raises PackageError if a model has no fit one."""
        self._metrics = metrics
        self.admission = Admission(
            settings.max_images_in_service,
            settings.max_bytes_in_service,
            settings.max_decoding_bytes,
        )
        self._isolation = open_isolation(settings, metrics.decoder_end)
        shared = Shared(
            CorePool(own_processors()),
            lambda: sum(model.pace.pending for model in self.repository.models),
            self.admission.hold_memory,
            metrics.batch,
            self._isolation,
        )
        self.repository = ModelRepository(
            lambda candidate: load_model(candidate.folder, settings, shared),
            settings.max_session_bytes,
            metrics.load_failure,
        )
        self._watcher = Watcher(settings.model_store, self.repository, settings.watch_seconds)
        try:
            self._watcher.fill(settings.public_keys)
        except BaseException:
            self._close_isolation()
            raise
        self._watcher.start()
        if self._isolation is not None:
            self._isolation.start()

    def check_room(
        self, policy: RequestPolicy, task: Task | None, reference: str | None, *, certain: bool
    ) -> None:
        """Raise Problem if not even one image would be admitted, whichever model it is for: then
        its body need not be read.

        The arguments are those of `ModelRepository.candidates`.
        """
        self.admission.check(policy.priority)
        models = self.repository.candidates(task, reference, certain=certain)
        if models and all(model.pace.is_late(policy.deadline) for model in models):
            models[0].pace.check(policy.deadline)

    async def answer(
        self,
        task: Task,
        contents: Sequence[Content],
        parameters: RequestParameters,
        policy: RequestPolicy,
    ) -> Answer:
        """Run the model that ``parameters`` name on images, given as files' bytes.

        A Problem among ``contents`` is answered in its place. Raises Problem if the request as a
        whole cannot be served. Cancelling it frees what it holds.
        """
        started = time.perf_counter()
        with self.admission.hold_images(len(contents), policy.priority):
            async with self.repository.take(parameters.model, task, policy.deadline) as model:
                query = model.predictor.to_query(parameters)
                model.pace.check(policy.deadline, len(contents))
                works = [self._answer_one(model, one, query, policy) for one in contents]
                # most requests have one image, which needs no task of its own
                outcomes = [await works[0]] if len(works) == 1 else await gather(*works)
        return Answer(
            model.manifest,
            [result for result, _ in outcomes],
            [times for _, times in outcomes],
            time.perf_counter() - started,
        )

    @property
    def state(self) -> ServiceState:
        """What the engine holds now, for its metrics."""
        return ServiceState(
            models=[
                ModelState(
                    *entry.reference,
                    manifest.sha256 if manifest else "",
                    manifest.precision if manifest else "",
                    model.provider if model else None,
                    1 if model else 0,
                    model.waiting if model else 0,
                )
                for entry in self.repository.versions
                for manifest, model in [entry.known]
            ],
            images=self.admission.images,
            session_bytes=self.repository.loaded_bytes,
        )

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest run of any model has taken by now; 0 if none goes on."""
        return max((model.longest_run for model in self.repository.models), default=0.0)

    def close(self) -> None:
        """Finish what has been accepted, then stop all threads."""
        self._watcher.stop()
        self.repository.close()
        self._close_isolation()

    def _close_isolation(self) -> None:
        if self._isolation is not None:
            self._isolation.pool.close()

    async def _answer_one(
        self, model: LoadedModel, content: Content, query: Any, policy: RequestPolicy
    ) -> tuple[Result | Problem, Times]:
        """One image's result, and where its time went."""
        times = Times(time.perf_counter())
        result: Result | Problem
        try:
            match content:
                case Problem():
                    result = content
                case bytes() | ModelInput():
                    result = await self._run(model, Job(content, query, policy), times)
                case _:
                    with self.admission.hold_bytes() as room:
                        async with policy.deadline.limit("the image had come"):
                            fetched = await content.read()
                        room.add(len(fetched))
                        model.pace.check(policy.deadline)
                        result = await self._run(model, Job(fetched, query, policy), times)
        except Problem as problem:
            result = problem.alone()
        except Exception:
            logger.exception("%s failed on an image", model.manifest.name)
            result = Problem("internal_error", "The model failed on this image.")
        self._metrics.image(
            model.manifest.name,
            result.code if isinstance(result, Problem) else OK,
            times.stages,
        )
        return result, times

    async def _run(self, model: LoadedModel, job: Job, times: Times) -> Result:
        """The result of an image that is here; ``times`` then say where its time went."""
        times.started = time.perf_counter()
        try:
            result = await model.submit(job)
        except CancelledError:
            if job.abandoned:  # it is in memory for as long as its run goes on
                job.on_end = self.admission.keep_bytes(job.size)
            raise
        times.stages = job.stages
        return result
