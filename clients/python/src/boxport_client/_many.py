"""Runs over many photos: the outcome of each, and resuming from a journal."""

from __future__ import annotations

import asyncio
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

from boxport_client._errors import BoxportError, ClientClosed, JournalError
from boxport_client._folder import FolderPhotos, check_photos, photos_of
from boxport_client._journal import Journal, check_head
from boxport_client._ordered import Sleep, in_background, in_tasks, in_threads, one_by_one
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

    See `Client.detect_many` for the other arguments. Raises PhotoError, MissingExtra, ValueError or
    TypeError for arguments that no run can start with.
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
        check_photos(photos)
        self._read, self._given, self._parameters = read, photos, parameters
        self._concurrency, self._progress, self._journal_path = concurrency, progress, journal
        self._photos: Iterable[Photo] = ()
        self._journal: Journal | None = None

    def in_threads(self, request: Callable[[Photo, Sleep], T]) -> Generator[Outcome[T], None, None]:
        """Each photo's outcome, in order. Raises PhotoError and JournalError at once."""
        self._open()
        return self._in_threads(request)

    def _in_threads(
        self, request: Callable[[Photo, Sleep], T]
    ) -> Generator[Outcome[T], None, None]:
        def work(photo: Photo, sleep: Sleep) -> Outcome[T]:
            try:
                key, known = self._look_up(photo)
                result = request(photo, sleep) if known is None else known
            except (ClientClosed, JournalError):
                raise
            except BoxportError as error:
                return Outcome(photo, None, error)
            if known is None:
                self._keep(key, result)
            return Outcome(photo, result)

        try:
            stream = in_threads(self._photos, work, self._concurrency)
            with reporting(self._progress, self._total) as report, closing(stream) as outcomes:
                for done, outcome in enumerate(outcomes, start=1):
                    report(done, self._total)
                    yield outcome
        finally:
            self._close()

    def in_tasks(
        self, request: Callable[[Photo], Awaitable[T]]
    ) -> AsyncGenerator[Outcome[T], None]:
        """Each photo's outcome, in order. What may read or write for long is done in threads.

        Raises JournalError at once for a journal of another run.
        """
        if self._journal_path is not None:
            check_head(self._journal_path, self._parameters.to_dict())
        return self._in_tasks(request)

    async def _in_tasks(
        self, request: Callable[[Photo], Awaitable[T]]
    ) -> AsyncGenerator[Outcome[T], None]:
        async def work(photo: Photo) -> Outcome[T]:
            key, known = None, None
            try:
                if self._journal is not None:
                    key, known = await asyncio.to_thread(self._look_up, photo)
                result = await request(photo) if known is None else known
            except (ClientClosed, JournalError):
                raise
            except BoxportError as error:
                return Outcome(photo, None, error)
            if known is None and key is not None:
                await asyncio.to_thread(self._keep, key, result)
            return Outcome(photo, result)

        try:
            await asyncio.to_thread(self._open)
            with reporting(self._progress, self._total) as report:
                done = 0
                is_there = isinstance(self._photos, (list, tuple, FolderPhotos))
                photos = one_by_one(self._photos) if is_there else in_background(self._photos)
                async with aclosing(in_tasks(photos, work, self._concurrency)) as outcomes:
                    async for outcome in outcomes:
                        done += 1
                        report(done, self._total)
                        yield outcome
        finally:
            self._close()

    @property
    def _total(self) -> int | None:
        return len(self._photos) if isinstance(self._photos, Sized) else None

    def _open(self) -> None:
        """List the folder's photos, and read the journal."""
        self._photos = photos_of(self._given)
        folder = self._photos.folder if isinstance(self._photos, FolderPhotos) else None
        if self._journal_path is not None:
            self._journal = Journal(self._journal_path, self._parameters.to_dict(), folder)

    def _look_up(self, photo: Photo) -> tuple[str | None, T | None]:
        """The photo's key in the journal, and its result if the journal has it.

        The key is taken before the photo is read: one that changes meanwhile is sent again.
        """
        if self._journal is None:
            return None, None
        key = self._journal.key(photo)
        answer = self._journal.answer(key)
        try:
            return key, None if answer is None else self._read(answer)
        except ValueError as error:
            raise JournalError(f"the journal's answer on {key} is damaged: {error}") from error

    def _keep(self, key: str | None, result: T) -> None:
        if self._journal is not None and key is not None:
            self._journal.write(key, result.to_dict())

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def check_concurrency(concurrency: int) -> None:
    """Raise ValueError unless at least one photo is sent at a time."""
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
