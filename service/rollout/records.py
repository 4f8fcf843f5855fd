"""The file of rollouts: what is asked for, of each model, and how far it has come.

    {"pets": {"version": "2", "canary": {"share": 0.05}, "state": {"phase": "running", …}}}

Operators and programs may write it, or the HTTP API does; the service adds ``state``. All workers,
and all services that share the store, read the same file, so what is in it holds for all of them.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from service.repository.store import BENTOML
from service.rollout.plan import Plan, Record
from service.scoreboard import Scoreboard
from service.telemetry.logs import logger

FILE_NAME = "rollouts.json"  # in the store, unless the setting says otherwise
# In the scoreboard, by name: the record that the file had, and what it was changed to.
IN_MEMORY = "rollouts"
RECORDS = TypeAdapter(dict[str, Record])

Records = Mapping[str, Record]
Change = Callable[[Record | None], Record | None]


def records_path(setting: Path | None, model_store: Path) -> Path | None:
    """Where the file is; None, and rollouts end with the process, for BentoML's own store."""
    if setting is not None or str(model_store) == BENTOML:
        return setting
    return model_store / FILE_NAME


def read_records(path: Path) -> dict[str, Record]:
    """What is in the file at ``path``; nothing if there is none. Raises ValueError."""
    try:
        return RECORDS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(": ".join([str(path), *map(str, first["loc"]), first["msg"]])) from None


class RecordFile:
    """Reads and changes the file at ``path``; used by one thread at a time.

    Where it cannot be written, as in a store that is mounted read-only, a change is kept in the
    scoreboard, until the file has another plan of that model.
    """

    def __init__(self, path: Path | None, board: Scoreboard | None = None) -> None:
        self._path, self._board = path, board or Scoreboard.alone()
        self._seen: tuple[int, int, int] | None = None
        self._is_broken = False
        self._in_file: dict[str, Record] = {}

    def read(self) -> Records:
        """Every model's record; what was there before, if the file cannot be read."""
        version = self._version()
        if version != self._seen:
            self._seen = version
            self._in_file = self._load()
        return self._merged()

    def change(self, name: str, change: Change) -> Records:
        """Replace the record of the model called ``name`` by what ``change`` makes of it."""
        try:
            with self._locked() as path:
                self._seen = None
                found = dict(self.read())
                if self._is_broken:  # what somebody has just written is not overwritten
                    raise OSError(0, "it cannot be read")
                _replace(found, name, change(found.get(name)))
                _write(path, found)
                self._seen, self._in_file = self._version(), found
                if IN_MEMORY in self._board.read():
                    self._board.change(lambda known, number: known.pop(IN_MEMORY, None))
        except OSError as error:
            logger.warning("%s is not written: %s", self._path, error.strerror)
            with self._board.lock():
                changed = change(self._merged().get(name))
                both = (self._in_file.get(name), changed)
                kept = [one and one.model_dump(mode="json") for one in both]
                self._board.change(
                    lambda known, number: known.setdefault(IN_MEMORY, {}).update({name: kept})
                )
        return self._merged()

    def _merged(self) -> Records:
        """Those of the file, with the changes that it does not have."""
        merged = dict(self._in_file)
        for name, kept in self._board.read().get(IN_MEMORY, {}).items():
            before, record = (one and Record.model_validate(one) for one in kept)
            if _plan_of(before) == _plan_of(self._in_file.get(name)):
                _replace(merged, name, record)
        return merged

    def _load(self) -> dict[str, Record]:
        if self._path is None or self._seen is None:
            return {}
        try:
            found = read_records(self._path)
        except ValueError as error:
            self._is_broken = True
            logger.error("%s; the rollouts of before go on", error)
            return self._in_file
        self._is_broken = False
        return found

    def _version(self) -> tuple[int, int, int] | None:
        """What changes with the file; None if there is none."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return found and (found.st_ino, found.st_size, found.st_mtime_ns)

    @contextmanager
    def _locked(self) -> Iterator[Path]:
        """Hold the folder's lock; raises OSError if it cannot be written."""
        if self._path is None:
            raise FileNotFoundError(0, "there is no file for BentoML's own store")
        path = self._path.resolve()
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(0, "its folder is read-only")
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(folder)


def _plan_of(record: Record | None) -> Plan | None:
    return record and record.plan


def _replace(records: dict[str, Record], name: str, record: Record | None) -> None:
    if record is None:
        records.pop(name, None)
    else:
        records[name] = record


def _write(path: Path, records: Records) -> None:
    """In one step, so that whoever reads meanwhile sees the old file or the new."""
    rows = {name: record.model_dump(mode="json") for name, record in records.items()}
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(json.dumps(rows, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary = Path(file.name)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    temporary.chmod(mode)
    temporary.replace(path)
