"""Where results go: each output takes every photo's result or error, and is then finished."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.text import Text

from boxport_client import (
    ApiError,
    BoxportError,
    DetectionResult,
    PhotoError,
    RequestTimedOut,
    coco_dataset,
)
from boxport_client._folder import FORMAT_OF
from boxport_client.cli._atomic_file import AtomicFile
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._layouts import Cells, Layout, R, Result, Row
from boxport_client.cli._sources import Source
from boxport_client.cli._terminal import new_table, printable, shows_table, stdout

R_in = TypeVar("R_in", bound=Result, contravariant=True)
TO_STDOUT = "-"
MAX_ROWS = 1000  # more would have scrolled out of a terminal's reach


class Output(Generic[R_in]):
    """A destination of results; this one does nothing with them."""

    def answered(self, source: Source, result: R_in) -> None:
        """Take a photo's result. Raises BoxportError if this photo fails here."""

    def failed(self, source: Source, error: BoxportError) -> None:
        """Take the error of a photo without a result."""

    def finish(self) -> None:
        """Write what is left: no more photos come."""


class JsonLines(Output[Result]):
    """One JSON object per photo on stdout, flushed at once."""

    def answered(self, source: Source, result: Result) -> None:
        self._write({"photo": source.name, **result.to_dict()})

    def failed(self, source: Source, error: BoxportError) -> None:
        self._write({"photo": source.name, "error": error_to_json(error)})

    def _write(self, content: object) -> None:
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()


class ResultTable(Output[R]):
    """A table with its rows grouped by photo, printed at the end."""

    def __init__(self, layout: Layout[R]) -> None:
        self._layout = layout
        self._table = new_table("photo", layout.titles[0], numbers=layout.titles[1:])
        self._has_answers = False
        self._left_out = 0

    def answered(self, source: Source, result: R) -> None:
        self._has_answers = True
        rows = list(self._layout.cells(result))
        self._add(source, rows or [(Text(self._layout.nothing, style="dim"),)])

    def failed(self, source: Source, error: BoxportError) -> None:
        self._add(source, [(Text("failed", style="red"),)])

    def finish(self) -> None:
        if self._has_answers:
            stdout.print(self._table)
        if self._left_out:
            more = f"… and {self._left_out} more photos; --json and --csv give all"
            stdout.print(Text(more, style="dim"), soft_wrap=True)

    def _add(self, source: Source, rows: Sequence[Cells]) -> None:
        if self._table.row_count + len(rows) > MAX_ROWS and self._table.row_count:
            self._left_out += 1
            return
        for number, row in enumerate(rows):
            self._table.add_row(Text("" if number else printable(source.name)), *row)


class CsvRows(Output[R]):
    """A CSV file, or stdout if that is None. Photos that failed have no row."""

    def __init__(self, file: AtomicFile | None, layout: Layout[R]) -> None:
        self._file, self._rows = file, layout.rows
        self._write([("photo", *layout.columns, "model")])

    def answered(self, source: Source, result: R) -> None:
        model = str(result.model)
        self._write((source.name, *row, model) for row in self._rows(result))

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


class CocoFile(Output[DetectionResult]):
    """One COCO file of all photos that have a result.

    labels_of: every label of a model by its id; the results name only those that were found.
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

    def finish(self) -> None:
        self._file.write(json.dumps(coco_dataset(self._results, self._labels)) + "\n")
        self._file.commit()


def chosen_outputs(
    stack: ExitStack, sources: Sequence[Source], layout: Layout[R], as_json: bool, csv: str | None
) -> tuple[list[Output[R]], bool]:
    """The outputs that `--json` and `--csv` ask for, and whether stdout gets a table for a person.

    ``stack`` closes the files. Raises CommandError and OSError.
    """
    if csv == TO_STDOUT:
        if as_json:
            raise CommandError("--json and --csv - both write to standard output; choose one")
        return [CsvRows(None, layout)], False
    with_table = shows_table(as_json)
    outputs: list[Output[R]] = [ResultTable(layout) if with_table else JsonLines()]
    if csv is not None:
        outputs.append(CsvRows(stack.enter_context(open_output("--csv", csv, sources)), layout))
    return outputs, with_table


def open_output(option: str, name: str, sources: Iterable[Source]) -> AtomicFile:
    """The file that an option names; raises CommandError if it is a photo, and OSError.

    A shell expands `--csv *.jpg` to a photo where the user forgot to name a file.
    """
    path = Path(name)
    is_photo = path.suffix.lower() in FORMAT_OF
    if is_photo or any(source.path == path for source in sources):
        raise CommandError(f"{option} {name}: is a photo; name the file to be written")
    return AtomicFile(path)


def error_to_json(error: BoxportError) -> dict[str, Any]:
    """An error as the service describes that of one image among several, with its status."""
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
    return {"code": code, "detail": str(error), "retryable": getattr(error, "retryable", False)}
