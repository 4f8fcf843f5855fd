"""Fetching one checkpoint of the table: an interrupted download is resumed, and what arrives is
checked against the hash in its name."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from models.zoo.table import ZooEntry, ZooError

OnProgress = Callable[[int, int | None], None]

TIMEOUT = httpx.Timeout(30.0, connect=10.0)  # seconds; of each read, not of the whole file


def download(
    entry: ZooEntry, folder: Path, on_progress: OnProgress = lambda done, total: None
) -> Path:
    """Fetch ``entry``'s file into ``folder``, unless it is there already, and return its path.

    on_progress: called with the bytes that are here, those of earlier calls included, and the
        size of the whole file, None where the server does not say.

    Raises ZooError. What arrived before a connection broke is kept, and the next call resumes.
    """
    path = folder / entry.file
    partial = path.with_name(f"{path.name}.partial")
    try:
        if path.exists():  # it may have been put there by hand, so it is not overwritten
            if wrong := _difference(entry, path):
                raise ZooError(
                    f"{path} is there, but with a wrong sha256: {wrong}; move it away to download"
                    " it again"
                )
            return path
        folder.mkdir(parents=True, exist_ok=True)
        resumed = _size(partial) > 0
        _receive(entry.url, partial, on_progress)
        wrong = _difference(entry, partial)
        if resumed and wrong:  # the rest is of a file that has changed since
            partial.unlink()
            _receive(entry.url, partial, on_progress)
            wrong = _difference(entry, partial)
        if wrong:
            partial.unlink()
            raise ZooError(f"{entry.url} came with a wrong sha256 and was deleted: {wrong}")
        partial.replace(path)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kept = f" ({_size(partial):,} bytes kept to go on from)" if _size(partial) else ""
        raise ZooError(
            f"cannot reach {entry.url}: {_reason(error)}{kept};"
            f" download it elsewhere and put it at {path}"
        ) from error
    except OSError as error:
        raise ZooError(f"{error.filename or path}: {error.strerror or error}") from error
    return path


def _receive(url: str, partial: Path, on_progress: OnProgress) -> None:
    """Append what ``partial`` lacks, or write all of it if the server sends all."""
    done = _size(partial)
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file itself
    if done:
        headers["Range"] = f"bytes={done}-"
    with (
        httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if done and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there is no more
        response.raise_for_status()
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            done = 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        on_progress(done, total)
        with partial.open("ab" if done else "wb") as file:
            for chunk in response.iter_raw():
                done += file.write(chunk)
                on_progress(done, total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _difference(entry: ZooEntry, path: Path) -> str | None:
    """Between the hash in the entry and that of the file, in words; None if there is none."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = entry.sha256_prefix
    if found.startswith(expected):
        return None
    return f"expected {expected}…, got {found[: len(expected)]}…"


def _reason(error: Exception) -> str:
    """One line of why."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}".rstrip()
    return str(error).partition("\n")[0] or type(error).__name__
