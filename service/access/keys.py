"""API keys: whose request it is, and what the key allows."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hmac import compare_digest
from pathlib import Path

from service.access.key_file import KeyEntry, KeysError, Scope, Version, read_entries, version_of
from service.access.rates import Rate


@dataclass(frozen=True)
class Caller:
    """The owner of a key. ``rate`` is None where the key has no limit of its own."""

    name: str
    scopes: frozenset[Scope]
    rate: Rate | None = None


@dataclass(frozen=True)
class _Key:
    digest: bytes
    expires: date | None
    caller: Caller


def today() -> date:
    """In UTC, as ``expires`` is."""
    return datetime.now(UTC).date()


class KeyRing:
    """The keys of one file, which may change while the service runs."""

    def __init__(self, path: Path, today: Callable[[], date] = today) -> None:
        """Raises KeysError if the file cannot be used."""
        self._path, self._today = path, today
        self._keys, self._version = _read(path)
        self._told: tuple[Version | None, str] | None = None  # what was raised last

    def refresh(self) -> bool:
        """Read the file again if it is another one; whether it was. Costs one `stat` if not.

        Raises KeysError, once for each version of the file, if the new one cannot be used or is
        gone: then the keys stay what they were, and the service goes on. It is tried again each
        time, for a fault of the file system may pass.
        """
        version = version_of(self._path)
        if version == self._version:
            return False
        try:
            self._keys, self._version = _read(self._path)
        except KeysError as error:
            if self._told == (version, str(error)):
                return False
            self._told = version, str(error)
            raise
        self._told = None
        return True

    def find(self, authorization: str | None, x_api_key: str | None = None) -> Caller | None:
        """Whose key is in a request's headers; None if it is unknown, or has expired.

        ``authorization`` counts if it is "Bearer <key>", and only where ``x_api_key`` is empty: a
        gateway may use the first for itself. The key is compared with all keys, by their hashes,
        so that the time it takes reveals nothing about any of them.
        """
        text = (x_api_key or "").strip() or _bearer(authorization or "")
        if not text or not text.isascii():
            return None
        digest = hashlib.sha256(text.encode()).digest()
        found = None
        for key in self._keys:
            if compare_digest(digest, key.digest):
                found = key
        if found is None or (found.expires and found.expires < self._today()):
            return None
        return found.caller


def new_key(
    name: str,
    scopes: Sequence[Scope],
    rate: float | None = None,
    burst: int | None = None,
    expires: date | None = None,
) -> tuple[str, KeyEntry]:
    """The text of a new key, which is kept nowhere, and the entry for the file.

    The text is "bxp_<name>_<secret>": what it is and whose can be read from it, and tools that
    look for leaked keys can find it. Raises pydantic.ValidationError as `KeyEntry` does.
    """
    text = f"bxp_{name}_{secrets.token_urlsafe(32)}"
    entry = KeyEntry(
        name=name,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        scopes=tuple(dict.fromkeys(scopes)),
        rate=rate,
        burst=burst,
        expires=expires,
    )
    return text, entry


def _read(path: Path) -> tuple[tuple[_Key, ...], Version | None]:
    entries, version = read_entries(path)
    return tuple(map(_key, entries)), version


def _key(entry: KeyEntry) -> _Key:
    rate = Rate.of(entry.rate, entry.burst) if entry.rate else None
    caller = Caller(entry.name, frozenset(entry.scopes), rate)
    return _Key(bytes.fromhex(entry.sha256), entry.expires, caller)


def _bearer(authorization: str) -> str:
    scheme, _, credentials = authorization.strip().partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""
