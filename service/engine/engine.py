"""The engine: from the bytes of images to answers, with no word of HTTP.

bytes ─ decode and resize (threads) ─► queue ─► batch ─► ONNX Runtime (threads) ─► rows
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image

from service.classifier import Classifier
from service.detector import Detector
from service.engine.batcher import Batcher
from service.images import decode_image
from service.log import logger
from service.manifest import InputSpec, ModelManifest, Task
from service.package import ModelPackage, find_packages, open_package
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.problems import Problem
from service.resize import ModelInput, to_input
from service.runner import Job, Row, Runner
from service.settings import Settings

RUNNERS: dict[Task, type[Detector] | type[Classifier]] = {
    "detection": Detector,
    "classification": Classifier,
}
WARM_UP_SIZE = (640, 480)  # of the photo that a model runs on first
PARAMETERS: dict[Task, type[RequestParameters]] = {
    "detection": DetectParameters,
    "classification": ClassifyParameters,
}


@dataclass(frozen=True)
class ServedModel:
    """A model's runner behind a batcher of its own."""

    runner: Runner[Any]
    batcher: Batcher[Job[Any], list[Row]]

    @property
    def manifest(self) -> ModelManifest:
        return self.runner.manifest


@dataclass(frozen=True)
class Answer:
    """What a model says of the images of one request, in their order.

    results: for each image its size and rows as contract 2 shows them, or its Problem.
    timing_ms: of the slowest image in each stage.
    """

    manifest: ModelManifest
    results: list[dict[str, Any] | Problem]
    timing_ms: dict[str, float]


class Engine:
    """Holds every model of the store, warm, and answers questions to them."""

    def __init__(self, settings: Settings) -> None:
        """Open, and run once, every package; raises PackageError if one is unfit."""
        self._settings = settings
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "decode")
        self._images_in_service = 0
        packages = [
            open_package(folder, public_keys=settings.public_keys)
            for folder in find_packages(settings.model_store)
        ]
        self.models = [self._serve(package) for package in packages]
        for model in self.models:
            warm_up(model.runner, settings.max_batch_size)
            logger.info("%s/%s is ready", model.manifest.name, model.manifest.version)

    def find(self, reference: str | None, task: Task | None = None) -> ServedModel:
        """The model that ``reference``, a name or name/version, means; raises Problem.

        A name means its highest version; None means the first model, by name, of ``task``.
        """
        name, _, version = (reference or self._default_name(task)).partition("/")
        found = [
            model
            for model in self.models
            if model.manifest.name == name and version in ("", model.manifest.version)
        ]
        if not found:
            names = ", ".join(sorted({model.manifest.name for model in self.models}))
            raise Problem("model_not_found", f"There is no model {reference!r}; there are {names}.")
        model = max(found, key=lambda model: int(model.manifest.version))
        if task is not None and model.manifest.task != task:
            raise Problem("wrong_task", f"{name} does {model.manifest.task}, not {task}.")
        return model

    def _default_name(self, task: Task | None) -> str:
        names = [model.manifest.name for model in self.models if model.manifest.task == task]
        if not names:
            raise Problem("model_not_found", f"The service holds no model for {task}.")
        return names[0]

    async def answer(
        self,
        task: Task,
        contents: Sequence[bytes | Problem],
        parameters: RequestParameters,
    ) -> Answer:
        """Run the model that ``parameters`` name on images, given as files' bytes.

        A Problem among ``contents`` is answered in its place. Raises Problem if the request as a
        whole cannot be served.
        """
        started = time.perf_counter()
        model = self.find(parameters.model, task)
        query = model.runner.to_query(parameters)
        if self._images_in_service + len(contents) > self._settings.max_images_in_service:
            raise Problem(
                "overloaded",
                f"{self._images_in_service} images are in service, of at most"
                f" {self._settings.max_images_in_service}. Try again in a moment.",
            )
        self._images_in_service += len(contents)
        try:
            outcomes = await asyncio.gather(
                *(self._answer_one(model, content, query) for content in contents)
            )
        finally:
            self._images_in_service -= len(contents)
        slowest = [max(stage) for stage in zip(*(times for _, times in outcomes), strict=True)]
        stages = [*slowest, time.perf_counter() - started]
        return Answer(
            model.manifest,
            [result for result, _ in outcomes],
            {
                name: round(seconds * 1000, 3)
                for name, seconds in zip(
                    ("decode", "queue", "inference", "total"), stages, strict=True
                )
            },
        )

    def close(self) -> None:
        """Finish what has been accepted, then stop all threads."""
        for model in self.models:
            model.batcher.close()
        self._decoders.shutdown()

    def _serve(self, package: ModelPackage) -> ServedModel:
        runner: Runner[Any] = RUNNERS[package.manifest.task](package)
        batcher: Batcher[Job[Any], list[Row]] = Batcher(
            runner.run,
            runner.group,
            max_batch_size=self._settings.max_batch_size,
            runners=self._settings.concurrent_runs,
            name=package.manifest.name,
        )
        return ServedModel(runner, batcher)

    async def _answer_one(
        self, model: ServedModel, content: bytes | Problem, query: Any
    ) -> tuple[dict[str, Any] | Problem, tuple[float, float, float]]:
        """One image's result, and its seconds of decoding, waiting and running."""
        if isinstance(content, Problem):
            return content, (0.0, 0.0, 0.0)
        started, decoded = time.perf_counter(), 0.0
        try:
            image = await asyncio.get_running_loop().run_in_executor(
                self._decoders, self._prepare, content, model.manifest.input
            )
            decoded = time.perf_counter() - started
            rows = await model.batcher.submit(Job(image, query))
        except Problem as problem:
            return problem, (time.perf_counter() - started, 0.0, 0.0)
        except Exception:
            logger.exception("%s failed on an image", model.manifest.name)
            failure = Problem("internal_error", "The model failed on this image.")
            return failure, (decoded, 0.0, 0.0)
        result = {
            "width": image.placement.width,
            "height": image.placement.height,
            model.runner.rows_name: rows.value,
        }
        return result, (decoded, rows.queued, rows.ran)

    def _prepare(self, content: bytes, spec: InputSpec) -> ModelInput:
        return to_input(decode_image(content, self._settings.max_image_pixels), spec)


def warm_up(runner: Runner[Any], max_batch_size: int) -> None:
    """Run one image and one full batch, so that no caller pays for first-time allocations."""
    image = to_input(Image.new("RGB", WARM_UP_SIZE), runner.manifest.input)
    query = runner.to_query(PARAMETERS[runner.manifest.task]())
    for size in (1, max_batch_size):
        runner.run([Job(image, query)] * size)
