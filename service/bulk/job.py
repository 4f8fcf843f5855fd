"""What a job is, kept beside its results: who goes on with it must mean the same."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from service.bulk.faults import BulkError, one_line
from service.bulk.folder import Folder
from service.bulk.parts import Parts

JOB_FILE = "_job.json"


class Input(BaseModel):
    """uri: where the photos were when the job began; they may have been moved since.

    sha256: of their names and sizes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    photos: int
    sha256: str


class Model(BaseModel):
    """sha256: of the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str


class Job(BaseModel):
    """parameters: of every photo, the model's defaults filled in.

    settings: those that an answer depends on. shard_size: photos of a part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxport_bulk: Literal[1] = 1
    input: Input
    model: Model
    parameters: dict[str, Any]
    settings: dict[str, Any]
    shard_size: int

    def difference(self, other: "Job") -> str | None:
        """The first thing that the answers depend on in which ``other`` is another job."""
        if self.input.sha256 != other.input.sha256:
            return f"photos: {_photos(self)}, now {_photos(other)}"
        if self.model.sha256 != other.model.sha256:
            return f"model: {_model(self)}, now {_model(other)}"
        for kind in ("parameters", "settings"):
            mine, others = getattr(self, kind), getattr(other, kind)
            for name in sorted(mine.keys() | others.keys()):
                if mine.get(name) != others.get(name):
                    was, now = json.dumps(mine.get(name)), json.dumps(others.get(name))
                    return f"{name}: {was}, now {now}"
        return None


def enter(folder: Folder, job: Job) -> tuple[Parts, Job]:
    """The parts of a job in ``folder``, which is made, or has parts of the same job already; and
    the job as it was begun.

    Raises BulkError if it has anything else.
    """
    try:
        folder.make()
        names = folder.names()
        if JOB_FILE in names:
            job = _go_on(folder, job)
        elif shown := sorted(name for name in names if not name.startswith(".")):
            raise BulkError(
                f"{folder.uri}: holds {shown[0]} and is of no bulk job; --output names a new folder"
            )
        else:
            with folder.write(JOB_FILE) as file:
                file.write(job.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise BulkError(f"{folder.uri}: {one_line(error)}") from error
    return Parts(folder, job.input.photos, job.shard_size), job


def read_job(folder: Folder) -> Job:
    """Raises OSError, and BulkError if it is not a job's file."""
    try:
        return Job.model_validate_json(folder.read(JOB_FILE))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise BulkError(f"{folder.uri}: {JOB_FILE}: {where}: {first['msg']}") from error


def _go_on(folder: Folder, job: Job) -> Job:
    begun = read_job(folder)
    if difference := begun.difference(job):
        raise BulkError(
            f"{folder.uri}: was begun with other {difference}; --output names another folder"
        )
    return begun


def _photos(job: Job) -> str:
    return f"{job.input.photos} of {job.input.uri} (sha256 {job.input.sha256[:12]})"


def _model(job: Job) -> str:
    return f"{job.model.name}/{job.model.version} (sha256 {job.model.sha256[:12]})"
