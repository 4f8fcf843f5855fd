"""The tallies of all workers of a service, added up.

Each worker writes its own into a file of a folder that all of them know, and reads the others', as
often as it looks at the rollouts. What one has counted that has ended stays counted.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from service.rollout.statistics import Side, Tally


class SharedTallies:
    """Of the workers that write into ``folder``; this one's file is called ``own``.

    folder: None where there is but one worker.
    """

    def __init__(self, folder: Path | None, own: str) -> None:
        self._folder, self._own = folder, own

    @classmethod
    def of(cls, workers: int) -> "SharedTallies":
        """Of a service with so many; its processes have the same parent."""
        own = str(os.getpid())
        if workers == 1:
            return cls(None, own)
        parent = psutil.Process(os.getppid())
        name = f"boxport-{parent.pid}-{parent.create_time() * 100:.0f}"
        folder = Path(tempfile.gettempdir()) / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder}: belongs to another user")
        return cls(folder, own)

    def exchange(self, tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        """Write this worker's ``tallies``, by the trials that they are of; the sums of the others'.

        Raises OSError if the folder cannot be used.
        """
        if self._folder is None:
            return {}
        draft = self._folder / f".{self._own}"
        draft.write_text(json.dumps({key: _to_json(tally) for key, tally in tallies.items()}))
        draft.replace(self._folder / self._own)
        sums: dict[str, Tally] = {}
        for file in self._folder.glob("[0-9a-z]*"):
            if file.name != self._own:
                for key, content in json.loads(file.read_bytes()).items():
                    _add_json(sums.setdefault(key, Tally()), content)
        return sums


def _to_json(sums: Tally | Side) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else _to_json(value)
        for name, value in vars(sums).items()
    }


def _add_json(sums: Tally | Side, content: Mapping[str, Any]) -> None:
    for name, value in vars(sums).items():
        if isinstance(value, np.ndarray):
            value += content[name]
        else:
            _add_json(value, content[name])
