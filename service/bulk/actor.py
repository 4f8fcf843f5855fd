"""The actor: answers shards of photos with the service's own engine."""

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
from service.bulk.errors import BulkError
from service.bulk.job import Job, read_job
from service.bulk.parts import Count, Parts
from service.bulk.photos import Photo, Shard
from service.engine.engine import Engine
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.manifest import Task
from service.package import PackageError
from service.parameters import RequestParameters
from service.problems import Problem
from service.providers import ProviderError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from service.terminal import one_line

READ_PAUSES = (1.0, 4.0)  # seconds before the reading of a photo is tried again
FATAL_DETAIL = "The process that answers photos died of this one, each time it was tried."


@dataclass(frozen=True)
class WorkerTask:
    """All that an actor needs, the models' files included.

    files: of each package, name/version, by name. settings: of the engine, except the model store.
    in_flight: photos that are read or answered at once. parts: where the results go.
    """

    job: Job
    model_task: Task
    parameters: RequestParameters
    files: dict[str, dict[str, bytes]]
    settings: Settings
    in_flight: int
    parts: Parts


@dataclass(frozen=True)
class Outcome:
    """The result of a shard: what its part holds and the seconds that it took, or, as ``fault``,
    why the job cannot go on."""

    photos: int
    failed: int
    seconds: float
    fault: str | None = None


class Actor:
    """Called by Ray Data with rows {"shard": a pickled `Shard`}; returns an `Outcome` as a row."""

    def __init__(self, task: WorkerTask) -> None:
        self._task = task
        self._engine: Engine | None = None
        self._loop = asyncio.new_event_loop()
        self._readers = ThreadPoolExecutor(task.in_flight, "read")
        self._places = asyncio.Semaphore(task.in_flight)
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """An error that ends the job is returned, not raised: Ray would wrap it, and would repeat a
        constructor that fails."""
        began = time.perf_counter()
        try:
            count = self._answer(pickle.loads(row["shard"]))
        except (BulkError, PackageError, ProviderError, OSError, Problem) as error:
            fault = f"{one_line(error)} (on {socket.gethostname()})"
            return vars(Outcome(0, 0, time.perf_counter() - began, fault))
        return vars(Outcome(count.photos, count.failed, time.perf_counter() - began))

    def _answer(self, shard: Shard) -> Count:
        """Write the part of ``shard``, unless it is there; what it holds."""
        parts = self._task.parts
        if parts.folder.kind(parts.name(shard.number)) is fs.FileType.File:
            return parts.count_one(shard.number)  # written by an actor that died before it returned
        if self._engine is None:
            self._engine = self._start()
        attempts = Attempts(parts.folder, shard.number)
        attempts.begin()
        photos = shard.photos(self._task.settings.max_body_bytes)
        answering = self._answer_all(self._engine, photos, attempts)
        results = asyncio.run_coroutine_threadsafe(answering, self._loop).result()
        rows = [
            {"number": shard.first + place, "photo": to_text(photo.name), **result}
            for place, (photo, result) in enumerate(zip(photos, results, strict=True))
        ]
        count = parts.write(shard.number, self._task.parameters, rows)
        attempts.end()
        return count

    def _start(self) -> Engine:
        self._check_folder()
        with tempfile.TemporaryDirectory() as store:  # needed only until the engine is made
            for reference, files in self._task.files.items():
                package = Path(store) / reference
                package.mkdir(parents=True)
                for name, content in files.items():
                    (package / name).write_bytes(content)
            settings = self._task.settings.model_copy(
                update={"model_store": Path(store), "decoding": "in_process"}
            )
            return Engine(settings, Metrics(ServiceState))

    def _check_folder(self) -> None:
        folder = self._task.parts.folder
        try:
            same = read_job(folder) == self._task.job
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
        """The fields of the photo's row; raises Problem if no photo can be answered."""
        async with self._places:
            try:
                content = await self._read(photo)
            except Problem as problem:
                return failure(problem.code, problem.detail)
            except Exception as error:  # of whatever kind: it concerns only this photo
                return failure("photo_unreadable", one_line(error))
            terms = RequestPolicy(Deadline.after(math.inf), Priority.BULK)
            task = self._task
            answer = await engine.answer(task.model_task, [content], task.parameters, terms)
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
    """The fields of a row with an error."""
    return {"error": {"code": code, "detail": detail}}


def to_text(name: str) -> str:
    """A file's name with bytes that are no Unicode escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
