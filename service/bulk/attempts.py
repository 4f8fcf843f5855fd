"""Photos that take the process down: found, and then left out, so that a job comes to its end.

Ray begins a shard again whenever its actor has died, however often. From the third time on the
photos of a shard are answered one at a time, and the one at which the actor then dies twice gets an
error in place of an answer. A node that is lost costs a shard speed at most.
"""

import json
from dataclasses import dataclass, field

from pyarrow import fs

from service.bulk.folder import Folder

SUFFIX = ".attempts"

CAREFUL = 3  # from this attempt on, one photo at a time
FATAL = 2  # deaths at one photo


@dataclass
class Attempts:
    """At one shard, as a file beside its part tells them from process to process."""

    folder: Folder
    shard: int
    begun: int = 0
    at: int | None = None  # the photo that is being answered, if it is one at a time
    deaths: dict[int, int] = field(default_factory=dict)  # by photo

    @property
    def careful(self) -> bool:
        return self.begun >= CAREFUL

    @property
    def fatal(self) -> set[int]:
        """The photos of the shard, counted from its first, at which actors have died."""
        return {photo for photo, number in self.deaths.items() if number >= FATAL}

    def begin(self) -> None:
        """Count this attempt, and the death of the last; raises OSError."""
        if self.folder.kind(self._name) is fs.FileType.File:
            noted = json.loads(self.folder.read(self._name))
            self.begun, self.at = noted["begun"], noted["at"]
            self.deaths = {int(photo): number for photo, number in noted["deaths"].items()}
        if self.at is not None:
            self.deaths[self.at] = self.deaths.get(self.at, 0) + 1
        self.begun += 1
        self.note(None)

    def note(self, at: int | None) -> None:
        """Say which photo is answered next; raises OSError."""
        self.at = at
        with self.folder.write(self._name) as file:
            noted = {"begun": self.begun, "at": at, "deaths": self.deaths}
            file.write(json.dumps(noted).encode())

    def end(self) -> None:
        """The shard has its part; raises OSError."""
        self.folder.remove(self._name)

    @property
    def _name(self) -> str:
        return f".shard-{self.shard}{SUFFIX}"
