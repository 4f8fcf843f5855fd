"""A job that has been begun, with all that it takes to do the rest of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.bulk.actor import Order
from service.bulk.folder import Folder
from service.bulk.job import Input, Job, Model, enter
from service.bulk.layout import Needs, settings_of
from service.bulk.parts import Parts
from service.bulk.photos import Listing, Shard, shard_size
from service.bulk.question import Question, settings_of_answers
from service.settings import Settings


@dataclass(frozen=True)
class Work:
    listing: Listing
    question: Question
    settings: Settings
    job: Job
    parts: Parts

    @classmethod
    def begin(
        cls, folder: Folder, listing: Listing, question: Question, settings: Settings
    ) -> "Work":
        """Or go on with, where ``folder`` has parts of the same job; raises BulkError if it has
        anything else."""
        manifest = question.manifest
        job = Job(
            input=Input(uri=listing.uri, photos=len(listing), sha256=listing.digest),
            model=Model(name=manifest.name, version=manifest.version, sha256=manifest.sha256),
            parameters=question.parameters,
            settings=settings_of_answers(settings),
            shard_size=shard_size(len(listing)),
        )
        parts, begun = enter(folder, job)
        return cls(listing, question, settings, begun, parts)

    def shards(self, numbers: Sequence[int]) -> list[Shard]:
        return [self.listing.shard(number, self.job.shard_size) for number in numbers]

    def order(self, needs: Needs) -> Order:
        """For actors that take ``needs``; raises OSError if the model cannot be read."""
        return Order(
            self.job,
            self.question.manifest.task,
            self.question.given,
            self.question.read_files(),
            settings_of(self.settings, self.job.model.name, needs),
            self.parts,
        )
