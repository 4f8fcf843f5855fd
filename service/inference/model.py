"""A model version that is loaded, warm and answering.

bytes ─► queue ─► batch ─► decode and resize ─► ONNX Runtime ─► rows     (the runs' threads)

For a GPU other threads decode, before the queue; and so do those who wait for the decoder processes
of images that are not plain ones.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.imaging.images import HoldMemory
from service.imaging.resize import ModelInput
from service.inference.affinity import CorePool
from service.inference.batcher import Batcher
from service.inference.classifier import Classifier
from service.inference.companion import Companion
from service.inference.decoder import Decoder, Isolation
from service.inference.detector import Detector
from service.inference.isolated import PackageProcess, Trial
from service.inference.layout import Layout
from service.inference.pace import Concurrency, Pace
from service.inference.task import Job, Predictor, Result
from service.manifest import COMPANION_SUFFIX, ModelManifest, Precision, Task
from service.package import GraphRunner
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.problems import Problem
from service.telemetry.logs import logger

PREDICTORS: dict[Task, type[Detector] | type[Classifier]] = {
    "detection": Detector,
    "classification": Classifier,
}
PARAMETERS: dict[Task, type[RequestParameters]] = {
    "detection": DetectParameters,
    "classification": ClassifyParameters,
}


@dataclass(frozen=True)
class Shared:
    """What the models of a process share.

    cores: its processors.
    images_in_service: how many images of all models are here and not answered yet.
    hold_memory: see `Decoder`.
    on_batch: hears the name of a model and the size of each batch that it runs.
    isolation: see `Decoder`.
    weights_folder: see `Device`.
    """

    cores: CorePool
    images_in_service: Callable[[], int]
    hold_memory: HoldMemory
    on_batch: Callable[[str, int], None]
    isolation: Isolation | None = None
    weights_folder: Path | None = None


def open_predictor(package: GraphRunner[Any]) -> Predictor[Any]:
    """What answers with the package's graph."""
    return PREDICTORS[package.manifest.task](package)


class LoadedModel:
    """Answers images on threads of its own, from when it is made until it is closed.

    provider: what its sessions run on. precision: that layers are computed in.
    session_bytes: what its sessions take, by the size of its graph.
    trial: how it is tried on live traffic, if it is.
    process: that its sessions are in then, in place of this one.
    companion: what tells how novel its photos are, if it has one; ``companion_fault``: why that is
        not used.
    """

    def __init__(
        self,
        predictor: Predictor[Any],
        decoder: Decoder,
        layout: Layout,
        shared: Shared,
        provider: str,
        precision: Precision,
        session_bytes: int,
        trial: Trial | None = None,
        process: PackageProcess | None = None,
        companion: Companion | None = None,
        companion_fault: str | None = None,
    ) -> None:
        self.companion, self.companion_fault = companion, companion_fault
        self.predictor, self.layout = predictor, layout
        self.trial, self.process = trial, process
        self.manifest: ModelManifest = predictor.manifest
        self.provider, self.precision, self.session_bytes = provider, precision, session_bytes
        self.pace = Pace(layout.max_batch_size, layout.concurrent_runs)
        self._decoder, self._on_batch = decoder, shared.on_batch
        self._concurrency = Concurrency(shared.images_in_service)
        # with fewer runs than processors the scheduler, which knows of other processes, does better
        fills = layout.threads == 1 and layout.concurrent_runs >= len(shared.cores) and not trial
        self._cores = shared.cores if fills else CorePool(())
        self._batcher = Batcher(
            self._run,
            max_batch_size=layout.max_batch_size,
            runners=layout.concurrent_runs,
            name=predictor.manifest.name,
        )

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return self._batcher.waiting

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest batch or decoding that still goes on has taken by now."""
        return max(self._batcher.longest_run, self._decoder.longest_run)

    @property
    def described_companion(self) -> dict[str, Any] | None:
        """What there is to tell of its companion, or why that is not used; None without one."""
        name, version = self.manifest.name + COMPANION_SUFFIX, self.manifest.version
        described: dict[str, Any] = {"name": name, "version": version}
        if self.companion is None:
            fault = self.companion_fault
            return None if fault is None else {**described, "reason": fault}
        manifest = self.companion.manifest
        described["measure"] = manifest.measure
        metrics = {} if manifest.accuracy is None else manifest.accuracy.metrics
        return described | {name: metrics[name] for name in ("auroc",) if name in metrics}

    async def submit(self, job: Job) -> Result:
        """The result of an image; ``job.stages`` then say where its time went.

        Raises what decoding or running it raised, or the deadline's Problem.
        """
        with self.pace.hold():
            await self._decoder.decode_ahead(job)
            if isinstance(job.content, ModelInput):  # else the run that decodes it will know
                job.group = self.predictor.group(job.content, job.query)
            return await self._batcher.submit(job)

    def _run(self, jobs: Sequence[Job]) -> list[Result | Exception]:
        """The result of each image of a batch, on a run's thread."""
        with self._cores.hold(pin=self._concurrency.pin):
            outcomes: dict[Job, Result | Exception] = {}
            groups: dict[Hashable, list[tuple[Job, ModelInput]]] = defaultdict(list)
            for job in jobs:
                try:
                    image = self._decoder.decode(job)
                    group = self.predictor.group(image, job.query)
                except Exception as error:  # whatever it is, it is this image's alone
                    outcomes[job] = error
                else:
                    groups[group].append((job, image))
            for together in groups.values():
                outcomes.update(self._infer(together, taken=len(jobs)))
        self.pace.batch_ended(len(jobs))
        return [outcomes[job] for job in jobs]

    def _infer(
        self, group: Sequence[tuple[Job, ModelInput]], taken: int
    ) -> dict[Job, Result | Exception]:
        """Run images of one group together. ``taken``: images that this thread has."""
        self._on_batch(self.manifest.name, len(group))
        images, queries = [image for _, image in group], [job.query for job, _ in group]
        with self._concurrency.measure(taken) as alone:
            began = time.perf_counter()
            rows = self.predictor.run(images, queries, alone=alone)
            self._judge(group)
            seconds = time.perf_counter() - began
        results: dict[Job, Result | Exception] = {}
        for (job, image), found in zip(group, rows, strict=True):
            job.stages["inference"] = seconds
            if not all(math.isfinite(row["score"]) for row in found):
                results[job] = self._not_a_number()
                continue
            results[job] = {
                "width": image.placement.width,
                "height": image.placement.height,
                self.predictor.rows_name: found,
            }
        return results

    def _judge(self, group: Sequence[tuple[Job, ModelInput]]) -> None:
        """Note how novel the photos are; an answer does not depend on it."""
        whole = [(job, image) for job, image in group if job.is_whole]
        if self.companion is None or not whole:
            return
        try:
            novelties = self.companion.judge([image for _, image in whole])
        except Exception:  # ONNX Runtime's have no common base; the answer is there without it
            logger.exception("the companion of %s failed", self.manifest.name)
            return
        for (job, _), novelty in zip(whole, novelties, strict=True):
            job.novelty = novelty

    def _not_a_number(self) -> Problem:
        """JSON has no NaN, and the order of such scores says nothing."""
        return Problem(
            "internal_error",
            f"{self.manifest.name} gives this image a score that is not a number: its weights or"
            " its precision are at fault (fp16 overflows above 65504).",
        )

    def close(self) -> None:
        """Finish what has been accepted, then stop the threads."""
        self._decoder.close()
        self._batcher.close()
        if self.process is not None:
            self.process.close()
