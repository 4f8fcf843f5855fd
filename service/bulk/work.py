"""A job in progress: its photos, its request and its results."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.bulk.actor import WorkerTask
from service.bulk.folder import Folder
from service.bulk.job import Input, Job, Model, enter
from service.bulk.layout import Resources, settings_of
from service.bulk.parameters import BulkRequest, answer_settings
from service.bulk.parts import Parts
from service.bulk.photos import Listing, Shard, shard_size
from service.settings import Settings


@dataclass(frozen=True)
class Work:
    listing: Listing
    request: BulkRequest
    settings: Settings
    job: Job
    parts: Parts

    @classmethod
    def begin(
        cls, folder: Folder, listing: Listing, request: BulkRequest, settings: Settings
    ) -> "Work":
        """Begin the job in ``folder``, or continue it where it was begun; raises BulkError if the
        folder has anything else."""
        manifest = request.manifest
        job = Job(
            input=Input(uri=listing.folder.uri, photos=len(listing), sha256=listing.digest),
            model=Model(name=manifest.name, version=manifest.version, sha256=manifest.sha256),
            parameters=request.parameters,
            settings=answer_settings(settings),
            shard_size=shard_size(len(listing)),
        )
        parts, begun = enter(folder, job)
        return cls(listing, request, settings, begun, parts)

    def shards(self, numbers: Sequence[int]) -> list[Shard]:
        return [self.listing.shard(number, self.job.shard_size) for number in numbers]

    def task(self, resources: Resources) -> WorkerTask:
        """For actors that have ``resources``; raises OSError if the model cannot be read."""
        return WorkerTask(
            self.job,
            self.request.manifest.task,
            self.request.given,
            self.request.read_files(),
            settings_of(self.settings, self.job.model.name, resources),
            self.parts,
        )
