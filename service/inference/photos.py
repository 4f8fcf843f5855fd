"""Photos that several inputs are made of: decoded once, whole, and cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from service.imaging.images import HoldMemory
from service.imaging.input_spec import InputSpec
from service.imaging.regions import AS_THEY_ARE, Context, cut
from service.imaging.resize import Box, ModelInput, to_input
from service.inference.batcher import Batcher
from service.inference.deadline import RequestPolicy
from service.inference.decoder import Decoder, Isolation
from service.inference.task import Job, KeepBytes, kept_if_abandoned
from service.settings import Settings


@dataclass(frozen=True)
class Parts:
    """What of a photo becomes inputs of ``spec``.

    boxes: xyxy in its pixels, within it; None: all of it, as one input.
    """

    spec: InputSpec
    boxes: Sequence[Box] | None = None
    context: Context = AS_THEY_ARE


class PhotoReader:
    """Decodes photos whole and makes of them what models read, on threads of its own: a model's
    runs would have other images wait for it.

    A photo is decoded at its full size, so that its parts are what they would be if they were cut
    out by hand, and sent.

    The arguments are those of `Decoder`; keep_bytes: see `kept_if_abandoned`.
    """

    def __init__(
        self,
        settings: Settings,
        hold_memory: HoldMemory,
        isolation: Isolation | None,
        keep_bytes: KeepBytes,
    ) -> None:
        """Raises ValueError as `Decoder` does."""
        self._exact, self._keep_bytes = settings.exact_resize, keep_bytes
        self._decoder = Decoder(None, settings, hold_memory, settings.cpus, isolation)
        self._cutter: Batcher[list[ModelInput]] = Batcher(
            self._cut_each, max_batch_size=1, runners=settings.cpus, name="cut"
        )

    async def read(self, content: bytes, policy: RequestPolicy) -> ModelInput:
        """The whole photo, upright; raises Problem as `Decoder.decode` does."""
        job = Job(content, None, policy)
        with kept_if_abandoned(job, self._keep_bytes):
            await self._decoder.decode_ahead(job)
        assert isinstance(job.content, ModelInput)
        return job.content

    async def cut(self, photo: ModelInput, parts: Parts, policy: RequestPolicy) -> list[ModelInput]:
        """The inputs that ``parts`` ask for, in order; raises the deadline's Problem."""
        return await self._cutter.submit(Job(photo, parts, policy))

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest photo on a thread has taken by now."""
        return max(self._decoder.longest_run, self._cutter.longest_run)

    def close(self) -> None:
        self._decoder.close()
        self._cutter.close()

    def _cut_each(self, jobs: Sequence[Job]) -> list[list[ModelInput]]:
        return [self._cut(job) for job in jobs]

    def _cut(self, job: Job) -> list[ModelInput]:
        photo, parts = job.content, job.query
        assert isinstance(photo, ModelInput)
        if parts.boxes is None:
            return [to_input(Image.fromarray(photo.pixels), parts.spec, exact=self._exact)]
        return cut(photo, parts.boxes, parts.spec, parts.context, exact=self._exact)
