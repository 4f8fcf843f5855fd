"""Photos that several inputs are made of: decoded once, whole, and cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from service.imaging.images import HoldMemory, decode_photo
from service.imaging.input_spec import InputSpec
from service.imaging.regions import AS_THEY_ARE, Context, cut
from service.imaging.resize import Box, ModelInput, Photo, to_input
from service.inference.batcher import Batcher
from service.inference.deadline import RequestPolicy
from service.inference.decoder import (
    ISOLATED_THREADS,
    Isolation,
    decode_options,
    one_by_one,
)
from service.inference.task import Job, KeepBytes, kept_if_abandoned
from service.settings import Settings

PIXEL_BYTES = 4  # of a photo in memory


@dataclass(frozen=True)
class Parts:
    """What of a photo becomes inputs of ``spec``.

    boxes: xyxy in its pixels, within it; None: all of it, as one input.
    """

    photo: Photo
    spec: InputSpec
    boxes: Sequence[Box] | None = None
    context: Context = AS_THEY_ARE


class PhotoReader:
    """Decodes photos whole and makes of them what models read, on threads of its own: a model's
    runs would have other images wait for it.

    A photo is decoded at its full size, so that its parts are what they would be if they were cut
    out by hand, and sent.

    hold_memory, isolation: see `Decoder`. keep_bytes: see `kept_if_abandoned`.
    """

    def __init__(
        self,
        settings: Settings,
        hold_memory: HoldMemory,
        isolation: Isolation | None,
        keep_bytes: KeepBytes,
    ) -> None:
        """Raises ValueError as `Decoder` does."""
        self._hold_memory, self._isolation, self._keep_bytes = hold_memory, isolation, keep_bytes
        self._options = decode_options(None, settings)
        self._here = one_by_one(settings.cpus, "photo", self._read)
        # each may wait for its decoder until its deadline, and the others need not
        self._apart = one_by_one(
            ISOLATED_THREADS if isolation else 0, "photo apart", self._read_apart
        )
        self._cutter = one_by_one(settings.cpus, "cut", self._cut)

    async def read(self, content: bytes, policy: RequestPolicy) -> Photo:
        """The whole photo, upright; raises Problem as `Decoder.decode` does."""
        policy.deadline.check("decoding")
        threads = self._here
        if self._isolation is not None and content and self._isolation.takes(content):
            threads = self._apart
        assert threads is not None
        job = Job(content, None, policy)
        with kept_if_abandoned(job, self._keep_bytes):
            return await threads.submit(job)

    async def cut(self, parts: Parts, policy: RequestPolicy) -> list[ModelInput]:
        """The inputs that ``parts`` ask for, in order; raises the deadline's Problem."""
        assert self._cutter is not None
        return await self._cutter.submit(Job(b"", parts, policy))

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest photo on a thread has taken by now."""
        return max(one.longest_run for one in self._threads)

    def close(self) -> None:
        for one in self._threads:
            one.close()

    @property
    def _threads(self) -> list[Batcher[Any]]:
        return [one for one in (self._here, self._apart, self._cutter) if one is not None]

    def _read(self, job: Job) -> Photo:
        assert isinstance(job.content, bytes)
        return decode_photo(job.content, self._options, self._hold_memory)

    def _read_apart(self, job: Job) -> Photo:
        assert self._isolation is not None
        made = self._isolation.decode(job, self._options, self._hold_memory)
        return Photo(Image.fromarray(made.pixels), made.placement.width, made.placement.height)

    def _cut(self, job: Job) -> list[ModelInput]:
        parts, exact = job.query, self._options.exact
        if parts.boxes is None:
            return [to_input(parts.photo, parts.spec, exact=exact)]
        return cut(parts.photo, parts.boxes, parts.spec, parts.context, exact=exact)
