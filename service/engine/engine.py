"""The engine: from the bytes of images to answers, whatever protocol they came by.

admission ─► rollout ─► the models of the repository ─► each image through them
                                                        (`service.engine.pipelines`)
"""

import time
from asyncio import gather, timeout
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from service.cpus import own_processors
from service.engine import pipelines
from service.engine.admission import Admission
from service.engine.answer import Answer, Content, photos_of
from service.engine.orders import Orders
from service.engine.pipelines import Pipeline, Times
from service.engine.planning import RegionLimits, asks_of_whole_images, plan, second_model
from service.imaging.resize import ModelInput
from service.inference.affinity import CoreLocks, CorePool
from service.inference.deadline import RequestPolicy
from service.inference.decoder import open_isolation
from service.inference.model import LoadedModel, Shared
from service.inference.photos import PhotoReader
from service.inference.task import Result
from service.manifest import Task
from service.parameters import RequestParameters
from service.problems import Problem
from service.repository.loader import load_model
from service.repository.repository import ModelRepository
from service.repository.store import Candidate
from service.repository.watcher import Watcher
from service.rollout.records import RecordFile, records_path
from service.rollout.report import state_of
from service.rollout.rollout import RequestKey, Rollout
from service.rollout.rollouts import Rollouts
from service.rollout.shadows import Sample, Shadows
from service.rollout.shared import SharedTallies
from service.settings import Settings
from service.telemetry.logs import logger
from service.telemetry.metrics import Metrics
from service.telemetry.record import OK
from service.telemetry.states import ModelState, ServiceState

# The part of the memory for decoding that copies of requests may take beside it.
APART = 8


class Engine:
    """Holds the models of the store, warm, and answers requests to them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Open, and run once, every package; raises PackageError if a model has no fit one."""
        self._metrics = metrics
        self._limits = RegionLimits(settings.max_regions, settings.max_request_regions)
        self.admission = Admission(
            settings.max_images_in_service,
            settings.max_bytes_in_service,
            settings.max_decoding_bytes,
            metrics.board,
        )
        self._isolation = open_isolation(settings, metrics.decoder_end)
        self._settings = settings
        self._shared = Shared(
            CorePool(own_processors(), CoreLocks.of_machine()),
            self._count_images,
            self.admission.hold_memory,
            metrics.batch,
            self._isolation,
            metrics.board.folder,
        )
        # copies of requests take nothing that callers are counted by
        apart = Admission(1, 1, settings.max_decoding_bytes // APART, metrics.board, "copies")
        self._shared_apart = replace(
            self._shared, hold_memory=apart.hold_memory, on_batch=lambda model, size: None
        )
        self.repository = ModelRepository(
            self._load,
            settings.max_session_bytes,
            metrics.load_failure,
            settings.default_models,
        )
        self._reader = PhotoReader(
            settings, self.admission.hold_memory, self._isolation, self.admission.keep_bytes
        )
        self._for_pipelines = pipelines.Shared(self.admission, self._reader)
        store, seconds = settings.model_store, settings.watch_seconds
        records = RecordFile(records_path(settings.rollouts_file, store), metrics.board)
        shared = SharedTallies(metrics.board)
        self.rollouts = Rollouts(self.repository, records, shared, metrics.taken_back)
        self.orders = Orders(metrics.board, self.repository, self.rollouts)
        self.shadows = Shadows(self.repository, self._is_busy)
        self._watcher = Watcher(store, self.repository, seconds, self.orders.forget)
        try:
            self._watcher.fill(settings.public_keys)
        except BaseException:
            self._close_decoding()
            raise
        self._watcher.start()
        self.rollouts.start()
        self.orders.follow()
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
        key: RequestKey | None = None,
    ) -> Answer:
        """Run the model that ``parameters`` name on images, given as files' bytes.

        key: decides which version answers, where one is on trial; None if the request asks for the
            one that it names.

        A Problem among ``contents`` is answered in its place. Raises Problem if the request as a
        whole cannot be served. Cancelling it frees what it holds.
        """
        images = self._limits.check(len(contents), parameters)
        with self.admission.hold_images(images, policy.priority):
            rollout = self.rollouts.find(parameters.model, task) if key else None
            if key is None or rollout is None:
                answer = await self._ask(parameters.model, task, contents, parameters, policy)
            else:
                answer = await self._try(rollout, key, task, contents, parameters, policy)
        self._count(answer)
        return answer

    async def _ask(
        self,
        reference: str | None,
        task: Task,
        contents: Sequence[Content],
        parameters: RequestParameters,
        policy: RequestPolicy,
    ) -> Answer:
        """What the model that ``reference`` means says."""
        started = time.perf_counter()
        take = self.repository.take
        async with take(reference, task, policy.deadline) as model, AsyncExitStack() as stack:
            second = None
            if (name := second_model(parameters)) is not None:
                other = take(name, "classification", policy.deadline)
                second = await stack.enter_async_context(other)
            number = len(contents)
            plans = plan(model, second, parameters, number, self._limits, self._for_pipelines)
            model.pace.check(policy.deadline, self._limits.check(number, parameters))
            works = [
                self._answer_one(model, pipeline, one, policy, told=parameters.wants_novelty)
                for pipeline, one in zip(plans, contents, strict=True)
            ]
            # most requests have one image, which needs no task of its own
            outcomes = [await works[0]] if len(works) == 1 else await gather(*works)
        return Answer(
            model.manifest,
            [result for result, _ in outcomes],
            [times for _, times in outcomes],
            time.perf_counter() - started,
            None if second is None else second.manifest,
        )

    async def _try(
        self,
        rollout: Rollout,
        key: RequestKey,
        task: Task,
        contents: Sequence[Content],
        parameters: RequestParameters,
        policy: RequestPolicy,
    ) -> Answer:
        """As `_ask`, of the version that ``rollout`` chooses; where the one on trial fails, or does
        not come back, of the other."""
        started = time.perf_counter()
        answer = None
        chosen = rollout.chooses(key, contents)
        if chosen:
            images = self._limits.check(len(contents), parameters)
            patience = min(rollout.patience(images), policy.deadline.remaining / 2)
            with suppress(Exception):
                async with timeout(patience):
                    answer = await self._ask(rollout.name, task, contents, parameters, policy)
        by_candidate = answer is not None and not answer.failed
        if answer is None or answer.failed:
            answer = await self._ask(rollout.baseline_name, task, contents, parameters, policy)
        answer = replace(answer, total=time.perf_counter() - started)
        if not answer.failed:
            rollout.note(answer.total, chosen=chosen, by_candidate=by_candidate)
        compared = by_candidate or rollout.compares(key, contents)
        if compared and asks_of_whole_images(parameters):
            photos = photos_of(contents, answer)
            sample = Sample(rollout, task, answer.manifest, by_candidate, parameters, photos)
            answer = replace(answer, sample=sample)
        return answer

    def _count(self, answer: Answer) -> None:
        """Each image and region for the model that has answered it; an image without an answer for
        the one that was asked."""
        for result, times in zip(answer.results, answer.times, strict=True):
            if isinstance(result, Problem):
                self._metrics.image(answer.manifest.name, result.code, times.stages)
                continue
            for model, stages in times.runs:
                self._metrics.image(model, OK, stages)
            if times.novelty is not None:
                self._metrics.novelty(answer.manifest.name, times.novelty)

    @property
    def state(self) -> ServiceState:
        """What the engine holds now, for its metrics."""
        return ServiceState(
            models=[
                ModelState(
                    *entry.reference,
                    manifest.sha256 if manifest else "",
                    model.precision if model else manifest.precision if manifest else "",
                    model.provider if model else None,
                    1 if model else 0,
                    model.waiting if model else 0,
                )
                for entry in self.repository.versions
                for manifest, model in [entry.known]
            ],
            images=self.admission.own_images,
            session_bytes=self.repository.loaded_bytes,
            rollouts=[state_of(rollout) for rollout in self.rollouts.all],
        )

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest run in this process has taken by now; 0 if none goes on."""
        own = [model.longest_run for model in self.repository.models if model.trial is None]
        return max(self._reader.longest_run, *own)

    def close(self) -> None:
        """Finish what has been accepted, then stop all threads."""
        self._watcher.stop()
        self.rollouts.stop()
        self.repository.close()
        self._close_decoding()

    def _load(self, candidate: Candidate) -> LoadedModel:
        trial = self.rollouts.trial_of(candidate)
        shared = self._shared_apart if trial == "shadow" else self._shared
        return load_model(candidate.folder, self._settings, shared, trial, candidate.companion)

    def _count_images(self) -> int:
        """Those that are here and not answered yet, and want this process's processors."""
        return sum(one.pace.pending for one in self.repository.models if one.trial != "shadow")

    def _is_busy(self) -> bool:
        return any(model.waiting for model in self.repository.models if model.trial != "shadow")

    def _close_decoding(self) -> None:
        self._reader.close()
        if self._isolation is not None:
            self._isolation.pool.close()

    async def _answer_one(
        self,
        model: LoadedModel,
        pipeline: Pipeline,
        content: Content,
        policy: RequestPolicy,
        *,
        told: bool,
    ) -> tuple[Result | Problem, Times]:
        """One image's result, in which is ``told`` how novel it is, and where its time went."""
        times = Times(time.perf_counter())
        result: Result | Problem
        try:
            match content:
                case Problem():
                    result = content
                case bytes() | ModelInput():
                    result = await pipeline.answer(content, policy, times)
                case _:
                    with self.admission.hold_bytes() as room:
                        async with policy.deadline.limit("the image had come"):
                            fetched = await content.read()
                        room.add(len(fetched))
                        model.pace.check(policy.deadline)
                        times.started = time.perf_counter()
                        result = await pipeline.answer(fetched, policy, times)
            if told and not isinstance(result, Problem):
                result["novelty"] = times.novelty
        except Problem as problem:
            result = problem.alone()
        except Exception:
            logger.exception("%s failed on an image", model.manifest.name)
            result = Problem("internal_error", "The model failed on this image.")
        return result, times
