"""What a model does with its images: the jobs that it gets, and what each task makes of them."""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from service.imaging.resize import ModelInput
from service.inference.deadline import RequestPolicy
from service.manifest import ModelManifest

Query = TypeVar("Query")
Row = dict[str, Any]  # a detection or a classification
Result = dict[str, Any]  # of an image: its width and height, and its rows


@dataclass(eq=False)
class Job:
    """One image on its way through a model.

    content: the bytes of its file, or what the model reads, once it has been decoded.
    query: what its request asks of the model, as `Predictor.to_query` gave it.
    stages: seconds that it spent in each stage that it has come through, in that order: "decode",
        "queue", "inference".
    group: jobs are run together if this is equal; None as long as it is not decoded.
    submitted, future: when it was queued, by `time.perf_counter`, and what its caller waits for;
        set by the batcher.
    ended: whether the run has ended that it was in, and the event loop knows.
    abandoned: whether its caller has gone while it was run.
    on_end: called on the event loop once the run has ended that it is in.
    is_whole: whether it is a photo, and no part of one.
    novelty: how novel the photo is to the model, 0 to 1, once it was run; None if nobody knows.
    """

    content: bytes | ModelInput
    query: Any
    policy: RequestPolicy
    stages: dict[str, float] = field(default_factory=dict)
    group: Hashable = None
    submitted: float = field(init=False)
    future: "asyncio.Future[Any]" = field(init=False, repr=False)
    ended: bool = False
    abandoned: bool = False
    on_end: Callable[[], None] | None = None
    is_whole: bool = True
    novelty: float | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        content = self.content
        return len(content) if isinstance(content, bytes) else content.pixels.nbytes


# Counts so many bytes until the result is called.
KeepBytes = Callable[[int], Callable[[], None]]


@contextmanager
def kept_if_abandoned(job: Job, keep_bytes: KeepBytes) -> Iterator[None]:
    """If the block is cancelled while ``job`` is run, have its bytes counted until that ends: so
    long they are in memory."""
    try:
        yield
    except asyncio.CancelledError:
        if job.abandoned:
            job.on_end = keep_bytes(job.size)
        raise


class Predictor(Protocol[Query]):
    """Answers batches of images: `inference.detector`, `inference.classifier`.

    rows_name: the field of an image's result that holds its rows.
    """

    rows_name: str

    @property
    def manifest(self) -> ModelManifest: ...

    def to_query(self, parameters: Any) -> Query:
        """``parameters``, a `RequestParameters` of the task, with the model's defaults filled in.

        Raises Problem if a value does not suit this model.
        """

    def group(self, image: ModelInput, query: Query) -> Hashable:
        """Images can run in one batch if this is equal for them.

        Raises Problem if ``query`` does not suit the image.
        """

    def run(
        self, images: Sequence[ModelInput], queries: Sequence[Query], *, alone: bool = False
    ) -> list[list[Row]]:
        """Each image's rows, in order: detections or classifications as the HTTP API shows them
        (docs/api.md). The images are of one group.

        alone: whether no other run wants the processors.
        """
