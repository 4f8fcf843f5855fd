"""The file of API keys: a JSON list with one object a key, without the keys themselves.

    [
      {
        "name": "shop-app",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "scopes": ["infer"],
        "rate": 20,
        "burst": 40,
        "expires": "2027-06-30"
      }
    ]

`python -m service key` writes it, any editor can, and it may be mounted as a Kubernetes secret.
A key is held as its SHA-256. Slow hashes (bcrypt, argon2) are for passwords that can be
guessed: a key has 256 random bits, which cannot, and is hashed again with every request.

Reading the file gains nothing, so that a secret's mode 0644 is enough. Whoever can write it can add
a key, so that a world-writable file is refused.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from service.access.rates import MIN_RATE

Scope = Literal["infer", "admin"]


class KeysError(Exception):
    """A file of keys that cannot be used; the message is one line and names the file and entry."""


class KeyEntry(BaseModel):
    """What is kept of one key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Of the caller; in logs."
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the key's text, in hex.")
    scopes: tuple[Scope, ...] = Field(
        min_length=1,
        description="What it is good for. Neither includes the other: a key for both names both.",
    )
    rate: Annotated[float, Field(ge=MIN_RATE, allow_inf_nan=False)] | None = Field(
        None, description="Requests a second, 1e-5 at least. Default: the service's."
    )
    burst: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Requests at once. Default: what one second brings."
    )
    expires: date | None = Field(None, description="The last day that it is good, in UTC.")

    @model_validator(mode="after")
    def _burst_has_rate(self) -> "KeyEntry":
        if self.burst is not None and self.rate is None:
            raise ValueError("burst is given without rate")
        return self


# What tells a file from the one that was there before: inode, time of change in ns, and size. The
# inode, because a Kubernetes secret changes by a symbolic link that is swapped.
Version = tuple[int, int, int]

ENTRIES = TypeAdapter(tuple[KeyEntry, ...])


def version_of(path: Path) -> Version | None:
    """Of the file at ``path`` now; None if there is none that can be reached."""
    try:
        return _version(path.stat())
    except OSError:
        return None


def read_entries(path: Path) -> tuple[tuple[KeyEntry, ...], Version]:
    """The entries, and the version of the file that they are from.

    Raises KeysError if the file cannot be read, is no list of entries, has a name or a key twice,
    or may be written by everybody.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read()
    except OSError as error:
        raise KeysError(f"{path}: cannot be read: {error.strerror}") from error
    if found.st_mode & stat.S_IWOTH:
        raise KeysError(f"{path}: everybody may write it, and so add keys: chmod o-w {path}")
    return _parse(path, content), _version(found)


def add_entry(path: Path, entry: KeyEntry) -> None:
    """Append to the file, or make it with mode 0600; raises KeysError if the name is taken or the
    file is broken, and then leaves it as it was."""
    with _locked(path):
        entries = read_entries(path)[0] if path.exists() else ()
        if any(entry.name == other.name for other in entries):
            raise KeysError(
                f"{path}: there is a key {entry.name!r} already; revoke it first, or add the new"
                " one by another name and revoke this once it is unused"
            )
        _write(path, (*entries, entry))


def revoke_entry(path: Path, name: str) -> None:
    """Take the entry out of the file; raises KeysError if there is none of that name."""
    with _locked(path):
        entries = read_entries(path)[0]
        left = [entry for entry in entries if entry.name != name]
        if len(left) == len(entries):
            known = ", ".join(entry.name for entry in entries) or "none"
            raise KeysError(f"{path}: there is no key {name!r}; there are {known}")
        _write(path, left)


def _version(found: os.stat_result) -> Version:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _parse(path: Path, content: bytes) -> tuple[KeyEntry, ...]:
    try:
        entries = ENTRIES.validate_json(content)
    except ValidationError as error:
        raise KeysError(f"{path}: {_explain(error.errors()[0], content)}") from None
    names: dict[str, str] = {}
    for entry in entries:
        if entry.name in names:
            raise KeysError(f"{path}: two keys have the name {entry.name!r}")
        if entry.sha256 in names.values():
            raise KeysError(f"{path}: {entry.name!r} is the same key as one before it")
        names[entry.name] = entry.sha256
    return entries


def _explain(error: ErrorDetails, content: bytes) -> str:
    """Without the value: an unhashed key may have been pasted there, and this is logged."""
    if not error["loc"]:
        return error["msg"]
    number = int(error["loc"][0])
    entry: Any = json.loads(content)[number]
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"key {name!r}" if isinstance(name, str) else f"entry {number + 1}"
    return ": ".join([where, *map(str, error["loc"][1:]), error["msg"]])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder's lock. Not the file's: that is another file after each change."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise KeysError(f"{path}: its folder cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, entries: Sequence[KeyEntry]) -> None:
    """In one step, so that a service that reads meanwhile sees the old file or the new."""
    target = path.resolve()  # a link stays a link
    rows = [entry.model_dump(mode="json", exclude_none=True) for entry in entries]
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(json.dumps(rows, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if target.exists():  # a new one has tempfile's mode, 0600
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise KeysError(f"{path}: cannot be written: {error.strerror}") from error
