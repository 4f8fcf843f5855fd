"""From the bytes of image files to what a model reads."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from service.imaging.cost import decoding_bytes
from service.imaging.formats import enable_formats
from service.imaging.images import open_image, prepare
from service.imaging.resize import ModelInput
from service.inference.batcher import Batcher
from service.inference.task import Job
from service.manifest import InputSpec
from service.settings import Settings

HoldMemory = Callable[[int], AbstractContextManager[None]]


class Decoder:
    """Decodes and resizes a model's images; may be used from any thread.

    hold_memory: admits a photo that takes so many bytes, for as long as it is decoded, or raises
        Problem.
    threads: that decode ahead of the queue, so that a GPU finds a batch; with 0 each run decodes
        its own images, as is faster on a CPU.
    """

    def __init__(
        self, spec: InputSpec, settings: Settings, hold_memory: HoldMemory, threads: int
    ) -> None:
        """Raises ValueError if a format of the settings cannot be read."""
        self._spec, self._settings, self._hold_memory = spec, settings, hold_memory
        self._formats = enable_formats(settings.image_formats)
        self._ahead = (
            Batcher(self._decode_each, max_batch_size=1, runners=threads, name="decode")
            if threads
            else None
        )

    def decode(self, job: Job) -> ModelInput:
        """What the model reads of ``job``, decoded here and now unless that has been done.

        Raises Problem if it is too late, or the image is damaged or too large.
        """
        if isinstance(job.content, ModelInput):
            return job.content
        job.policy.deadline.check("decoding")
        began = time.perf_counter()
        settings = self._settings
        with (
            open_image(
                job.content, settings.max_image_pixels, settings.max_frames, self._formats
            ) as image,
            self._hold_memory(
                decoding_bytes(image, job.content, self._spec, reduce=settings.reduce_jpegs)
            ),
        ):
            prepared = prepare(
                image, self._spec, reduce=settings.reduce_jpegs, exact=settings.exact_resize
            )
        job.stages["decode"] = time.perf_counter() - began
        return prepared

    async def decode_ahead(self, job: Job) -> None:
        """Decode ``job`` in place on a decode thread, if there are any; raises as `decode` does."""
        if isinstance(job.content, ModelInput):
            return
        job.policy.deadline.check("decoding")
        if self._ahead is not None:
            began = time.perf_counter()
            job.content = await self._ahead.submit(job)
            job.stages = {"decode": time.perf_counter() - began}  # with the wait for a thread

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest photo on a decode thread has taken by now."""
        return self._ahead.longest_run if self._ahead is not None else 0.0

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()

    def _decode_each(self, jobs: Sequence[Job]) -> list[ModelInput]:
        return [self.decode(job) for job in jobs]
