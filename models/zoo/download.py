"""One checkpoint of the table, fetched: an interrupted download goes on where it stopped, and what
arrives is checked against the hash in its name."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.zoo.table import ZooEntry, ZooError

OnProgress = Callable[[int, int | None], None]

TIMEOUT = httpx.Timeout(30.0, connect=10.0)  # seconds; of each read, not of the whole file


def download(
    entry: ZooEntry, folder: Path, on_progress: OnProgress = lambda done, total: None
) -> Path:
    """Fetch ``entry``'s file into ``folder``, unless it is there already, and return its path.

    on_progress: called with the bytes that are here, those of earlier runs included, and the
        size of the whole file, None where the server does not say.

    Raises ZooError. What arrived before a connection broke stays for the next call to go on from.
    """
    path = folder / entry.file
    partial = _Partial(path.with_name(f"{path.name}.partial"))
    try:
        if path.exists():
            _check_existing(entry, path)
            return path
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(entry.url, partial, on_progress)
        _check_fetched(entry, partial)
        partial.path.replace(path)
        partial.remove()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        resumable = partial.size and partial.version
        kept = f" ({partial.size:,} bytes kept to go on from)" if resumable else ""
        raise ZooError(
            f"cannot reach {entry.url}: {_reason(error)}{kept};"
            f" download it elsewhere and put it at {path}"
        ) from error
    except OSError as error:
        raise ZooError(f"{error.filename or path}: {error.strerror or error}") from error
    return path


@dataclass(frozen=True)
class _Partial:
    """The part of a remote file that is here, and beside it the version that it is a part of."""

    path: Path

    @property
    def _version_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        """What `_version` gave; empty where nothing is known."""
        return self._version_path.read_text() if self._version_path.is_file() else ""

    def begin(self, version: str) -> None:
        """Forget what is here; what is appended from now on belongs to ``version``."""
        self.path.write_bytes(b"")  # first, so that no old bytes ever stand under a new version
        self._version_path.write_text(version)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version_path.unlink(missing_ok=True)


def _fetch(url: str, partial: _Partial, on_progress: OnProgress) -> None:
    """Make ``partial`` whole, from where it stands if the server lets us."""
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        if not _receive(client, url, partial, on_progress):
            partial.remove()
            _receive(client, url, partial, on_progress)


def _receive(client: httpx.Client, url: str, partial: _Partial, on_progress: OnProgress) -> bool:
    """One request. False where its answer does not continue ``partial``, which is then as it was.

    Only a first request can be answered so: without a part there is nothing to continue.
    """
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file itself
    resuming = bool(partial.size and partial.version)
    if resuming:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.version}
    with client.stream("GET", url, headers=headers) as response:
        start, total = _content_range(response)
        # a server may ignore If-Range, and send the rest of a file that is not ours
        ours = _version(response) in ("", partial.version)
        if resuming and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return ours and total == partial.size  # nothing is missing
        response.raise_for_status()
        if resuming and response.status_code == httpx.codes.PARTIAL_CONTENT:
            if not (ours and start == partial.size):
                return False
        else:
            partial.begin(_version(response))
            total = _content_length(response)
        done = partial.size
        on_progress(done, total)
        with partial.path.open("ab") as file:
            for chunk in response.iter_raw():
                done += file.write(chunk)
                on_progress(done, total)
    return True


def _version(response: httpx.Response) -> str:
    """What tells this content from a later one at the same URL; empty where the server is silent.

    A weak ETag says nothing of bytes, and RFC 9110 (13.1.5) forbids it in If-Range.
    """
    etag: str = response.headers.get("ETag", "")
    modified: str = response.headers.get("Last-Modified", "")
    return etag if etag.startswith('"') else modified


def _content_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """First byte and whole size, from `bytes 5-9/10` or `bytes */10`; None for what is not said."""
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", header)
    start, total = match.groups() if match else (None, None)
    return (int(start) if start else None, int(total) if total else None)


def _content_length(response: httpx.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _check_existing(entry: ZooEntry, path: Path) -> None:
    """A file under the official name may have been put there by hand, so it is not overwritten."""
    expected, got = entry.sha256_prefix, _sha256(path)
    if expected is not None and not got.startswith(expected):
        raise ZooError(
            f"{path} is there, but with a wrong sha256: expected {expected}…,"
            f" got {got[: len(expected)]}…; move it away to download it anew"
        )


def _check_fetched(entry: ZooEntry, partial: _Partial) -> None:
    expected, got = entry.sha256_prefix, _sha256(partial.path)
    if expected is not None and not got.startswith(expected):
        partial.remove()
        raise ZooError(
            f"{entry.url} came with a wrong sha256 and was deleted:"
            f" expected {expected}…, got {got[: len(expected)]}…"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """One line of why."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}".rstrip()
    return str(error).partition("\n")[0] or type(error).__name__
