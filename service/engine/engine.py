"""The engine: from the bytes of images to answers, with no word of HTTP.

bytes ─► queue ─► batch ─► decode and resize ─► ONNX Runtime ─► rows     (the runs' threads)

For a GPU other threads decode, before the queue.
"""

import functools
import time
from asyncio import gather
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.cpus import own_processors
from service.engine.admission import Admission
from service.imaging.formats import enable_formats
from service.imaging.images import open_image
from service.imaging.photo import prepare
from service.imaging.resize import ModelInput
from service.inference.affinity import CorePool
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.model import STAGES, AnyJob, ServedModel
from service.inference.task import Job, Undecoded
from service.manifest import InputSpec, ModelManifest, Task
from service.parameters import RequestParameters
from service.problems import Problem
from service.repository.loader import serve
from service.repository.repository import ModelRepository
from service.repository.store import Candidate, open_source
from service.repository.watcher import Watcher
from service.settings import Settings
from service.telemetry.logs import logger
from service.telemetry.metrics import Metrics, ModelState, State
from service.telemetry.record import OK


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

    results: for each image its size and rows as contract 2 shows them, or its Problem.
    times: of each image.
    total: seconds from the question to the answer.
    """

    manifest: ModelManifest
    results: list[dict[str, Any] | Problem]
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
    """Holds the models of the store, warm, and answers questions to them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Open, and run once, every package; raises PackageError if a model has no fit one."""
        self._settings, self._metrics = settings, metrics
        self._formats = enable_formats(settings.image_formats)
        self.admission = Admission(
            settings.max_images_in_service,
            settings.max_bytes_in_service,
            settings.max_pixels_in_service,
        )
        self._seats = CorePool(own_processors())
        self.repository = ModelRepository(
            self._load, settings.max_session_bytes, metrics.load_failure
        )
        source = open_source(settings.model_store)
        self._watcher = Watcher(source, self.repository, settings.watch_seconds)
        self._watcher.fill(settings.public_keys)
        self._watcher.start()

    def check_room(
        self, policy: RequestPolicy, task: Task | None, reference: str | None, *, certain: bool
    ) -> None:
        """Raise Problem if not even one image would be admitted, whichever model it is for: then
        its body need not be read.

        The arguments are those of `ModelRepository.candidates`.
        """
        self.admission.check(policy.priority)
        models = self.repository.candidates(task, reference, certain=certain)
        if models and all(model.is_late(policy.deadline) for model in models):
            models[0].check_wait(policy.deadline)

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
            async with self.repository.take(parameters.model, task) as model:
                query = model.runner.to_query(parameters)
                model.check_wait(policy.deadline, len(contents))
                with model.hold(len(contents)):
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
    def state(self) -> State:
        """What the engine holds now, for its metrics."""
        return State(
            models=[
                ModelState(
                    manifest.name,
                    manifest.version,
                    manifest.sha256,
                    manifest.precision,
                    model.layout.provider if model else None,
                    1 if model else 0,
                    model.waiting if model else 0,
                )
                for entry in self.repository.versions
                for manifest, model in [(entry.manifest, entry.model)]
                if manifest is not None
            ],
            images=self.admission.images,
            requests=0,
            session_bytes=self.repository.loaded_bytes,
        )

    def close(self) -> None:
        """Finish what has been accepted, then stop all threads."""
        self._watcher.stop()
        self.repository.close()

    def _load(self, candidate: Candidate) -> ServedModel:
        return serve(
            candidate.folder,
            self._settings,
            self._metrics.batch,
            lambda: self.admission.images,
            self._seats,
        )

    async def _answer_one(
        self, model: ServedModel, content: Content, query: Any, policy: RequestPolicy
    ) -> tuple[dict[str, Any] | Problem, Times]:
        """One image's result, and where its time went."""
        times = Times(time.perf_counter())
        result: dict[str, Any] | Problem
        try:
            job = await self._to_job(model, content, query, policy.deadline)
            times.started = time.perf_counter()
            done = await model.submit(job, policy.deadline, policy.priority)
            times.stages = done.stages
            result = {
                "width": done.placement.width,
                "height": done.placement.height,
                model.runner.rows_name: done.rows,
            }
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

    async def _to_job(
        self, model: ServedModel, content: Content, query: Any, deadline: Deadline
    ) -> AnyJob:
        """An image, once it is here, for the model to decode when it has time."""
        if isinstance(content, Problem):
            raise content
        if isinstance(content, ModelInput):
            return Job(content, query)
        if not isinstance(content, bytes):
            content = await content.read()
        deadline.check("decoding")
        spec = model.manifest.input
        return Undecoded(functools.partial(self._prepare, content, spec, deadline), query)

    def _prepare(self, content: bytes, spec: InputSpec, deadline: Deadline) -> ModelInput:
        deadline.check("decoding")
        settings = self._settings
        with (
            open_image(
                content, settings.max_image_pixels, settings.max_frames, self._formats
            ) as image,
            self.admission.hold_pixels(image.width * image.height),
        ):
            return prepare(image, spec, reduce=settings.reduce_jpegs, exact=settings.exact_resize)
