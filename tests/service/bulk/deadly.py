"""A job with a photo that kills the process which reads it.

python -m tests.service.bulk.deadly ALBUM OUTPUT
"""

import functools
import os
import signal
from dataclasses import dataclass, replace
from typing import Any

from service.bulk import cluster
from service.bulk.folder import open_folder
from service.bulk.layout import Resources
from service.bulk.listing import list_photos
from service.bulk.parameters import read_request
from service.bulk.photos import Photo
from service.bulk.work import Work
from service.settings import Settings
from tests.packages import CLASSIFIER

DEADLY = 3


@dataclass(frozen=True)
class DeadlyShard:
    """A shard with one deadly photo."""

    whole: Any

    @property
    def number(self) -> int:
        return self.whole.number

    @property
    def first(self) -> int:
        return self.whole.first

    @property
    def size(self) -> int:
        return self.whole.size

    def photos(self, max_bytes: int) -> list[Photo]:
        photos = self.whole.photos(max_bytes)
        photos[DEADLY] = replace(photos[DEADLY], read=functools.partial(die))
        return photos


def die() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def main(album: str, output: str) -> None:
    settings = Settings()
    request = read_request(settings, CLASSIFIER, {})
    work = Work.begin(open_folder(output), list_photos(album, None), request, settings)
    resources = Resources(1, 0.0)
    (whole,) = work.shards([0])
    with cluster.connect(os.environ["RAY_ADDRESS"], 0):
        (outcome,) = cluster.answer([DeadlyShard(whole)], work.task(resources), resources, 1)
    print(outcome)
