"""Where answers go: each output is told of every photo in turn, and finished at the end."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from boxport_client.cli.atomic_file import AtomicFile
from boxport_client.cli.endings import Refused
from boxport_client.cli.layouts import Layout, R, Result, Row
from boxport_client.cli.sources import Source
from boxport_client.errors import ApiError, BoxportError, PhotoError, RequestTimedOut
from boxport_client.exports import coco_dataset
from boxport_client.folder import SUFFIXES
from boxport_client.results import DetectionResult

R_in = TypeVar("R_in", bound=Result, contravariant=True)


class Output(Protocol[R_in]):
    """What is told of photos."""

    def answered(self, source: Source, result: R_in) -> None:
        """Told of a photo's answer. Raises BoxportError if this photo fails here."""

    def failed(self, source: Source, error: BoxportError) -> None:
        """Told of a photo that has no answer."""

    def finish(self) -> None:
        """Told that no more photos come."""


class JsonLines:
    """An object a line and photo on stdout, each out at once."""

    def answered(self, source: Source, result: Result) -> None:
        self._write({"photo": source.name, **result.to_dict()})

    def failed(self, source: Source, error: BoxportError) -> None:
        self._write({"photo": source.name, "error": error_to_json(error)})

    def finish(self) -> None:
        pass

    def _write(self, content: object) -> None:
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()


class CsvRows(Generic[R]):
    """A CSV file, or stdout if that is None. Photos that failed have no row."""

    def __init__(self, file: AtomicFile | None, layout: Layout[R]) -> None:
        self._file, self._rows = file, layout.rows
        self._write([("photo", *layout.columns, "model")])

    def answered(self, source: Source, result: R) -> None:
        model = str(result.model)
        self._write((source.name, *row, model) for row in self._rows(result))

    def failed(self, source: Source, error: BoxportError) -> None:
        pass

    def finish(self) -> None:
        if self._file is not None:
            self._file.commit()

    def _write(self, rows: Iterable[Row]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines, lineterminator="\n").writerows(rows)
        if self._file is not None:
            self._file.write(lines.getvalue())
            return
        sys.stdout.buffer.write(lines.getvalue().encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


class CocoFile:
    """One COCO file of all photos that are answered.

    labels_of: every label of a model by its id, of which the answers name but those they found.
    """

    def __init__(
        self,
        file: AtomicFile,
        name: Callable[[Source], str],
        labels_of: Callable[[str], dict[int, str]],
    ) -> None:
        self._file, self._name, self._labels_of = file, name, labels_of
        self._results: dict[str, DetectionResult] = {}
        self._labels: dict[int, str] | None = None

    def answered(self, source: Source, result: DetectionResult) -> None:
        if self._labels is None:
            self._labels = self._labels_of(str(result.model))
        self._results[self._name(source)] = result

    def failed(self, source: Source, error: BoxportError) -> None:
        pass

    def finish(self) -> None:
        self._file.write(json.dumps(coco_dataset(self._results, self._labels)) + "\n")
        self._file.commit()


def error_to_json(error: BoxportError) -> dict[str, Any]:
    """As the service tells of one image's fault among several, and what was the status."""
    if isinstance(error, ApiError):
        return {
            "code": error.code,
            "detail": error.detail,
            "status": error.status,
            "retryable": error.retryable,
            "request_id": error.request_id,
        }
    if isinstance(error, PhotoError):
        return {"code": "photo_unreadable", "detail": str(error), "retryable": False}
    code = "timed_out" if isinstance(error, RequestTimedOut) else "connection_failed"
    return {"code": code, "detail": str(error), "retryable": True}


def open_output(option: str, name: str, sources: Iterable[Source]) -> AtomicFile:
    """The file that an option names; raises Refused if it is a photo, and OSError.

    A shell makes `--csv *.jpg` name a photo, where its user forgot to name a file.
    """
    path = Path(name)
    is_photo = path.suffix.lower() in SUFFIXES
    if is_photo or any(source.path == path for source in sources):
        raise Refused(f"{option} {name}: is a photo; name the file to be written")
    return AtomicFile(path)
