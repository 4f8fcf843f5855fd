"""The description of a job, kept beside its results: only the same job continues it."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from service.bulk.errors import BulkError
from service.bulk.folder import Folder
from service.bulk.parts import Parts
from service.manifest import ModelManifest
from service.terminal import one_line

JOB_FILE = "_job.json"


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(Record):
    """uri: of the photos when the job began; they may have been moved since. sha256: of their names
    and sizes."""

    uri: str
    photos: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.photos} of {self.uri} (sha256 {self.sha256[:12]})"


class Model(Record):
    """sha256: of the graph."""

    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, manifest: ModelManifest) -> "Model":
        return cls(name=manifest.name, version=manifest.version, sha256=manifest.sha256)

    def __str__(self) -> str:
        return f"{self.name}/{self.version} (sha256 {self.sha256[:12]})"


class Job(Record):
    """then: the classifier of what is detected. parameters: of every photo, with the models'
    defaults filled in. settings: those that an answer depends on. shard_size: photos of a shard.
    """

    boxport_bulk: Literal[1] = 1
    input: Input
    model: Model
    then: Model | None = None
    parameters: dict[str, Any]
    settings: dict[str, Any]
    shard_size: int

    def difference(self, other: "Job") -> str | None:
        """The first difference to ``other`` that answers depend on, in words; None without one."""
        if self.input.sha256 != other.input.sha256:
            return f"photos: {self.input}, now {other.input}"
        if self.model.sha256 != other.model.sha256:
            return f"model: {self.model}, now {other.model}"
        if (self.then and self.then.sha256) != (other.then and other.then.sha256):
            return f"classifier: {self.then or 'none'}, now {other.then or 'none'}"
        for kind in ("parameters", "settings"):
            mine, others = getattr(self, kind), getattr(other, kind)
            for name in sorted(mine.keys() | others.keys()):
                if mine.get(name) != others.get(name):
                    was, now = json.dumps(mine.get(name)), json.dumps(others.get(name))
                    return f"{name}: {was}, now {now}"
        return None


def enter(folder: Folder, job: Job) -> tuple[Parts, Job]:
    """Begin ``job`` in ``folder``, or continue it there: the parts, and the job as it was begun.

    The folder is made if needed. Raises BulkError if it has anything else.
    """
    try:
        folder.make()
        names = folder.names()
        if JOB_FILE in names:
            job = _continue(folder, job)
        elif shown := sorted(name for name in names if not name.startswith(".")):
            raise BulkError(
                f"{folder.uri}: holds {shown[0]} but no bulk job; --output names a new folder"
            )
        else:
            with folder.write(JOB_FILE) as file:
                file.write(job.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise BulkError(f"{folder.uri}: {one_line(error)}") from error
    return Parts(folder, job.input.photos, job.shard_size), job


def read_job(folder: Folder) -> Job:
    """The job in ``folder``; raises OSError, and BulkError for a file that is not valid."""
    try:
        return Job.model_validate_json(folder.read(JOB_FILE))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise BulkError(f"{folder.uri}: {JOB_FILE}: {where}: {first['msg']}") from error


def _continue(folder: Folder, job: Job) -> Job:
    begun = read_job(folder)
    if difference := begun.difference(job):
        raise BulkError(
            f"{folder.uri}: was begun with other {difference}; --output names another folder"
        )
    return begun
