"""From the bytes of image files to what a model reads."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.decoding.pool import IS_POSSIBLE, SPARE_BYTES, DecoderPool
from service.imaging.cost import worst_bytes
from service.imaging.formats import enable_formats
from service.imaging.images import DecodeOptions, HoldMemory, decode_input
from service.imaging.input_spec import InputSpec
from service.imaging.resize import ModelInput
from service.imaging.structure import is_plain
from service.inference.batcher import Batcher, Outcome
from service.inference.task import Job
from service.problems import Problem
from service.settings import Settings
from service.telemetry.logs import logger

# Images of a model at once that are not plain ones. Each may wait for its decoder until its
# deadline, and so the others need more than one.
ISOLATED_THREADS = 4


@dataclass(frozen=True)
class Isolation:
    """pool: of decoder processes. plain: whether plain images (`is_plain`) are decoded there, too,
    and not only the others."""

    pool: DecoderPool
    plain: bool

    def takes(self, content: bytes) -> bool:
        """Whether an image is decoded there."""
        return self.plain or not is_plain(content)

    def decode(self, job: Job, options: DecodeOptions, hold_memory: HoldMemory) -> ModelInput:
        """What ``options`` ask for of the image of ``job``, by its deadline; raises Problem."""
        assert isinstance(job.content, bytes)
        deadline = job.policy.deadline
        deadline.check("decoding")
        try:
            return self.pool.decode(job.content, options, deadline.remaining, hold_memory)
        except TimeoutError:
            raise deadline.problem("the image was decoded") from None

    def start(self) -> None:
        """Have a decoder ready. Without one the service serves what it decodes by itself, and tries
        again for each other image."""
        try:
            if not self.pool.start():
                logger.warning("this kernel does not filter the decoders' system calls")
        except Problem as problem:
            logger.error("decoding: %s", problem)


def check_decoding(settings: Settings) -> None:
    """Raise ValueError if images cannot be decoded where the settings say."""
    if settings.decoding == "isolated" and not IS_POSSIBLE:
        raise ValueError("decoding = isolated: needs Linux; auto and in_process do without")


def open_isolation(settings: Settings, on_end: Callable[[str], None]) -> Isolation | None:
    """What the settings ask for; ``on_end`` hears why a decoder ended (`DecoderPool`)."""
    check_decoding(settings)
    if settings.decoding == "in_process":
        return None
    if not IS_POSSIBLE:
        logger.info("images are decoded in this process: decoders that can be ended need Linux")
        return None

    def note(cause: str) -> None:
        logger.warning("a decoder process ended: %s", cause)
        on_end(cause)

    memory = worst_bytes(settings.max_image_pixels, settings.max_body_bytes)
    formats = enable_formats(settings.image_formats)
    pool = DecoderPool(formats, memory + SPARE_BYTES, settings.cpus, note)
    return Isolation(pool, plain=settings.decoding == "isolated")


def decode_options(spec: InputSpec | None, settings: Settings) -> DecodeOptions:
    """Those of ``settings``; raises ValueError if a format of theirs cannot be read."""
    return DecodeOptions(
        spec,
        settings.max_image_pixels,
        settings.max_frames,
        enable_formats(settings.image_formats),
        reduce=settings.reduce_jpegs,
        exact=settings.exact_resize,
    )


class Decoder:
    """Decodes and resizes a model's images; may be used from any thread.

    hold_memory: admits a photo that takes so many bytes, for as long as it is decoded, or raises
        Problem.
    threads: that decode ahead of the queue, so that a GPU finds a batch; with 0 each run decodes
        its own images, as is faster on a CPU.
    isolation: where images are decoded that could hold up a run; None to decode all here.
    """

    def __init__(
        self,
        spec: InputSpec,
        settings: Settings,
        hold_memory: HoldMemory,
        threads: int,
        isolation: Isolation | None = None,
    ) -> None:
        """Raises ValueError if a format of the settings cannot be read."""
        self._hold_memory, self._isolation = hold_memory, isolation
        self._options = decode_options(spec, settings)
        self._ahead = one_by_one(threads, "decode", self.decode)
        # a run whose batch has one of these would have its other images wait for it
        self._apart = one_by_one(
            ISOLATED_THREADS if isolation else 0, "isolated", self._decode_apart
        )

    def decode(self, job: Job) -> ModelInput:
        """What the model reads of ``job``, decoded here and now unless that has been done: of a
        plain image, for `decode_ahead` has seen to the others.

        Raises Problem if it is too late, or the image is damaged or too large.
        """
        if isinstance(job.content, ModelInput):
            return job.content
        job.policy.deadline.check("decoding")
        if self._isolation is not None and self._isolation.plain:
            return self._decode_apart(job)
        began = time.perf_counter()
        prepared = decode_input(job.content, self._options, self._hold_memory)
        job.stages["decode"] = time.perf_counter() - began
        return prepared

    async def decode_ahead(self, job: Job) -> None:
        """Decode ``job`` in place on a decode thread, if it is one's; raises as `decode` does."""
        if isinstance(job.content, ModelInput):
            return
        job.policy.deadline.check("decoding")
        threads = self._ahead
        if self._apart is not None and job.content and not is_plain(job.content):
            threads = self._apart
        if threads is not None:
            began = time.perf_counter()
            job.content = await threads.submit(job)
            job.stages = {"decode": time.perf_counter() - began}  # with the wait for a thread

    @property
    def longest_run(self) -> float:
        """Seconds that the oldest photo on a decode thread has taken by now."""
        return max((one.longest_run for one in (self._ahead, self._apart) if one), default=0.0)

    def close(self) -> None:
        for threads in (self._ahead, self._apart):
            if threads is not None:
                threads.close()

    def _decode_apart(self, job: Job) -> ModelInput:
        """`decode` in a decoder process."""
        assert self._isolation is not None
        began = time.perf_counter()
        prepared = self._isolation.decode(job, self._options, self._hold_memory)
        job.stages["decode"] = time.perf_counter() - began
        return prepared


def one_by_one(number: int, name: str, work: Callable[[Job], Outcome]) -> Batcher[Outcome] | None:
    """So many threads that do ``work`` for one job at a time; None if there are to be none."""
    if not number:
        return None

    def work_each(jobs: Sequence[Job]) -> list[Outcome]:
        return [work(job) for job in jobs]

    return Batcher(work_each, max_batch_size=1, runners=number, name=name)
