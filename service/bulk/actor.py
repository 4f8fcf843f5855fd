"""The actor: the service's own engine, which answers one shard of photos after the other."""

import asyncio
import math
import pickle
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from service.bulk.attempts import Attempts
from service.bulk.faults import BulkError, one_line
from service.bulk.job import Job, read_job
from service.bulk.parts import Count, Parts
from service.bulk.photos import Photo, Shard
from service.engine.admission import BULK_SHARE
from service.engine.engine import Engine
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.manifest import Task
from service.package import PackageError
from service.parameters import RequestParameters
from service.problems import Problem
from service.providers import ProviderError
from service.settings import Settings
from service.telemetry.metrics import Metrics, State

READ_PAUSES = (1.0, 4.0)  # seconds before a photo is read again that an object store did not give
FATAL_DETAIL = "The process that answers photos died of this one, each time it was tried."


@dataclass(frozen=True)
class Order:
    """What an actor is to do, whole: the model's files travel with it.

    settings: of its engine, but for the model store.
    """

    job: Job
    task: Task
    parameters: RequestParameters
    files: dict[str, bytes]
    settings: Settings
    parts: Parts


@dataclass(frozen=True)
class Outcome:
    """Of a shard: what its part holds, the seconds that it took, or why the job cannot go on."""

    photos: int
    failed: int
    seconds: float
    fault: str | None = None


class Actor:
    """Called by Ray Data with a row {"shard": a pickled `Shard`}; gives an `Outcome` as a row."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._engine: Engine | None = None
        self._loop = asyncio.new_event_loop()
        in_flight = int(order.settings.max_images_in_service * BULK_SHARE)
        self._readers = ThreadPoolExecutor(in_flight, "read")
        self._places = asyncio.Semaphore(in_flight)
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What ends the job is told, not raised: Ray would wrap it into its own, and a constructor
        that fails it would call again."""
        began = time.perf_counter()
        try:
            count = self._answer(pickle.loads(row["shard"]))
        except (BulkError, PackageError, ProviderError, OSError, Problem) as error:
            fault = f"{one_line(error)} (on {socket.gethostname()})"
            return vars(Outcome(0, 0, time.perf_counter() - began, fault))
        return vars(Outcome(count.photos, count.failed, time.perf_counter() - began))

    def _answer(self, shard: Shard) -> Count:
        """What the part of ``shard`` holds, once it is there."""
        parts = self._order.parts
        if parts.folder.kind(parts.name(shard.number)) is fs.FileType.File:
            return parts.count_one(shard.number)  # by an actor that died before it could say so
        if self._engine is None:
            self._engine = self._start()
        attempts = Attempts(parts.folder, shard.number)
        attempts.begin()
        photos = shard.photos(self._order.settings.max_body_bytes)
        answering = self._answer_all(self._engine, photos, attempts)
        results = asyncio.run_coroutine_threadsafe(answering, self._loop).result()
        rows = [
            {"number": shard.first + place, "photo": to_text(photo.name), **result}
            for place, (photo, result) in enumerate(zip(photos, results, strict=True))
        ]
        count = parts.write(shard.number, self._order.task, rows)
        attempts.end()
        return count

    def _start(self) -> Engine:
        self._check_folder()
        manifest = self._order.job.model
        with tempfile.TemporaryDirectory() as store:  # the engine has read it once it is made
            package = Path(store) / manifest.name / manifest.version
            package.mkdir(parents=True)
            for name, content in self._order.files.items():
                (package / name).write_bytes(content)
            settings = self._order.settings.model_copy(update={"model_store": Path(store)})
            return Engine(settings, Metrics(lambda: State([], 0, 0, 0)))

    def _check_folder(self) -> None:
        folder = self._order.parts.folder
        try:
            same = read_job(folder) == self._order.job
        except FileNotFoundError:
            same = False
        if not same:
            raise BulkError(
                f"{folder.uri}: is another folder for this node; results of a job on several"
                " machines go to a folder that all of them share, or into an object store"
            )

    async def _answer_all(
        self, engine: Engine, photos: list[Photo], attempts: Attempts
    ) -> list[dict[str, Any]]:
        if not attempts.careful:
            return await asyncio.gather(*(self._answer_one(engine, photo) for photo in photos))
        fatal = attempts.fatal
        results = []
        for place, photo in enumerate(photos):
            if place in fatal:
                results.append(failure("internal_error", FATAL_DETAIL))
                continue
            attempts.note(place)
            results.append(await self._answer_one(engine, photo))
        return results

    async def _answer_one(self, engine: Engine, photo: Photo) -> dict[str, Any]:
        """The fields of its row; raises Problem if no photo can be answered."""
        async with self._places:
            try:
                content = await self._read(photo)
            except Problem as problem:
                return failure(problem.code, problem.detail)
            except Exception as error:  # whatever it is, it is this photo's alone
                return failure("photo_unreadable", one_line(error))
            terms = RequestPolicy(Deadline.after(math.inf), Priority.BULK)
            order = self._order
            answer = await engine.answer(order.task, [content], order.parameters, terms)
            (result,) = answer.results
            if isinstance(result, Problem):
                return failure(result.code, result.detail)
            return {"error": None, **result}

    async def _read(self, photo: Photo) -> bytes:
        for pause in READ_PAUSES:
            try:
                return await self._loop.run_in_executor(self._readers, photo.read)
            except (FileNotFoundError, IsADirectoryError, PermissionError):
                raise
            except OSError:
                await asyncio.sleep(pause)
        return await self._loop.run_in_executor(self._readers, photo.read)


def failure(code: str, detail: str) -> dict[str, Any]:
    """What stands in a row in place of an answer."""
    return {"error": {"code": code, "detail": detail}}


def to_text(name: str) -> str:
    """A name that is no Unicode, told so that it can be."""
    return name.encode("utf-8", "backslashreplace").decode()
