"""Finds photos that crash the process, and leaves them out, so that a job ends.

Ray restarts a shard whenever its actor has died, without limit. From the third attempt on, the
photos of a shard are answered one at a time, and one at which the actor then dies twice gets an
error instead of an answer. A lost node costs a shard only time.
"""

import json
from dataclasses import dataclass, field

from pyarrow import fs

from service.bulk.folder import Folder

SUFFIX = ".attempts"

CAREFUL_FROM = 3  # the first attempt with one photo at a time
FATAL_DEATHS = 2  # at one photo


@dataclass
class Attempts:
    """The attempts at one shard, kept in a file beside its part, from process to process.

    at: the photo being answered, if one at a time. deaths: by photo. Photos are counted from the
    shard's first.
    """

    folder: Folder
    shard: int
    begun: int = 0
    at: int | None = None
    deaths: dict[int, int] = field(default_factory=dict)

    @property
    def careful(self) -> bool:
        return self.begun >= CAREFUL_FROM

    @property
    def fatal(self) -> set[int]:
        """The photos at which actors have died."""
        return {photo for photo, number in self.deaths.items() if number >= FATAL_DEATHS}

    def begin(self) -> None:
        """Count this attempt, and the death of the last one; raises OSError."""
        if self.folder.kind(self._name) is fs.FileType.File:
            recorded = json.loads(self.folder.read(self._name))
            self.begun, self.at = recorded["begun"], recorded["at"]
            self.deaths = {int(photo): number for photo, number in recorded["deaths"].items()}
        if self.at is not None:
            self.deaths[self.at] = self.deaths.get(self.at, 0) + 1
        self.begun += 1
        self.note(None)

    def note(self, at: int | None) -> None:
        """Record the photo that is answered next; raises OSError."""
        self.at = at
        with self.folder.write(self._name) as file:
            recorded = {"begun": self.begun, "at": at, "deaths": self.deaths}
            file.write(json.dumps(recorded).encode())

    def end(self) -> None:
        """Remove the file: the shard has its part. Raises OSError."""
        self.folder.remove(self._name)

    @property
    def _name(self) -> str:
        return f".shard-{self.shard}{SUFFIX}"
