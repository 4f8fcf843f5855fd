"""A job in progress: its photos, its request and its results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.bulk.actor import WorkerTask
from service.bulk.folder import Folder
from service.bulk.job import Input, Job, Model, enter
from service.bulk.layout import Resources, settings_of
from service.bulk.parameters import BulkRequest, answer_settings
from service.bulk.parts import Parts
from service.bulk.photos import Listing, Shard, shard_size
from service.engine.planning import asks_of_whole_images
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
        then = request.then
        job = Job(
            input=Input(uri=listing.folder.uri, photos=len(listing), sha256=listing.digest),
            model=Model.of(request.manifest),
            then=None if then is None else Model.of(then.manifest),
            parameters=request.parameters,
            settings=answer_settings(settings),
            shard_size=shard_size(len(listing)),
        )
        parts, begun = enter(folder, job)
        parts = replace(parts, outlines=request.has_outlines)
        return cls(listing, request, settings, begun, parts)

    def shards(self, numbers: Sequence[int]) -> list[Shard]:
        return [self.listing.shard(number, self.job.shard_size) for number in numbers]

    def task(self, resources: Resources) -> WorkerTask:
        """For actors that have ``resources``; raises OSError if the model cannot be read."""
        request = self.request
        names = [package.manifest.name for package in request.packages]
        cuts = not asks_of_whole_images(request.given)
        settings, in_flight = settings_of(self.settings, names, resources, cuts=cuts)
        return WorkerTask(
            self.job,
            request.manifest.task,
            request.given,
            request.read_files(),
            settings,
            in_flight,
            self.parts,
        )
