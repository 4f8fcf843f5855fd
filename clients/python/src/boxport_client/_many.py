"""Runs over many photos: the outcome of each, and resuming from a journal."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sized,
)
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from boxport_client._errors import BoxportError, JournalError
from boxport_client._folder import FolderPhotos, photos_of
from boxport_client._journal import Journal
from boxport_client._ordered import Sleep, in_tasks, in_threads, one_by_one
from boxport_client._parameters import Parameters
from boxport_client._photos import Photo
from boxport_client._progress import Progress, check_progress, reporting
from boxport_client._results import ClassificationResult, DetectionResult

Result = DetectionResult | ClassificationResult
T = TypeVar("T", bound=Result)
Photos = Iterable[Photo] | str | os.PathLike[str]
JournalPath = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The outcome of one of many photos: either ``result`` or ``error`` is set.

    photo: as it was given; for a folder, the file's path.
    """

    photo: Photo
    result: T | None
    error: BoxportError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None


class Run(Generic[T]):
    """A run over ``photos``, each with the same ``parameters``.

    read: makes a result of an answer in the journal.

    See `Client.detect_many` for the other arguments. Raises PhotoError, JournalError, MissingExtra,
    ValueError or TypeError for arguments that no run can start with.
    """

    def __init__(
        self,
        read: Callable[[Mapping[str, Any]], T],
        photos: Photos,
        parameters: Parameters,
        concurrency: int,
        progress: Progress,
        journal: JournalPath,
    ) -> None:
        check_concurrency(concurrency)
        check_progress(progress)
        self._read = read
        self._photos = photos_of(photos)
        self._concurrency, self._progress = concurrency, progress
        folder = self._photos.folder if isinstance(self._photos, FolderPhotos) else None
        self._journal = None if journal is None else Journal(journal, parameters.to_dict(), folder)

    def in_threads(self, request: Callable[[Photo, Sleep], T]) -> Generator[Outcome[T], None, None]:
        """Each photo's outcome, in order."""

        def work(photo: Photo, sleep: Sleep) -> Outcome[T]:
            key, known = self._look_up(photo)
            if known is not None:
                return known
            try:
                result = request(photo, sleep)
            except BoxportError as error:
                return Outcome(photo, None, error)
            return self._answered(photo, key, result)

        try:
            stream = in_threads(self._photos, work, self._concurrency)
            with reporting(self._progress, self._total) as report, closing(stream) as outcomes:
                for done, outcome in enumerate(outcomes, start=1):
                    report(done, self._total)
                    yield outcome
        finally:
            self._close()

    async def in_tasks(
        self, request: Callable[[Photo], Awaitable[T]]
    ) -> AsyncGenerator[Outcome[T], None]:
        """Each photo's outcome, in order."""

        async def work(photo: Photo) -> Outcome[T]:
            key, known = self._look_up(photo)
            if known is not None:
                return known
            try:
                result = await request(photo)
            except BoxportError as error:
                return Outcome(photo, None, error)
            return self._answered(photo, key, result)

        try:
            with reporting(self._progress, self._total) as report:
                done = 0
                stream = in_tasks(one_by_one(self._photos), work, self._concurrency)
                async with aclosing(stream) as outcomes:
                    async for outcome in outcomes:
                        done += 1
                        report(done, self._total)
                        yield outcome
        finally:
            self._close()

    @property
    def _total(self) -> int | None:
        return len(self._photos) if isinstance(self._photos, Sized) else None

    def _look_up(self, photo: Photo) -> tuple[str | None, Outcome[T] | None]:
        """The photo's key in the journal, and its outcome if the journal has it.

        The key is taken before the photo is read: one that changes meanwhile is sent again.
        """
        if self._journal is None:
            return None, None
        key = self._journal.key(photo)
        answer = self._journal.answer(key)
        try:
            return key, None if answer is None else Outcome(photo, self._read(answer))
        except ValueError as error:
            raise JournalError(f"the journal's answer on {key} is damaged: {error}") from error

    def _answered(self, photo: Photo, key: str | None, result: T) -> Outcome[T]:
        if self._journal is not None and key is not None:
            self._journal.write(key, result.to_dict())
        return Outcome(photo, result)

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def check_concurrency(concurrency: int) -> None:
    """Raise ValueError unless at least one photo is sent at a time."""
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
