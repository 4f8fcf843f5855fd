"""The rows that a model gives, as tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from service.engine.engine import Answer
from service.http.v2.tensors import BYTES, Array, OutputTensor
from service.inference.model import RUNNERS
from service.inference.task import Row
from service.manifest import ModelManifest, Task
from service.problems import Problem

NO_LABEL = -1  # as the graph itself fills up


@dataclass(frozen=True)
class Found:
    """What a model found in each image of a request.

    sizes: width and height of each. ``rows``: of each, as contract 2 shows them.
    most: rows of each that were asked for, None for all.
    """

    manifest: ModelManifest
    sizes: list[tuple[int, int]]
    rows: list[list[Row]]
    most: int | None = None

    @classmethod
    def of(cls, answer: Answer, most: int | None = None) -> "Found":
        """Raises the Problem of the first image that has one: the protocol has no place for it
        beside the others' results."""
        results: list[dict[str, Any]] = []
        for i, result in enumerate(answer.results):
            if isinstance(result, Problem):
                where = f"image[{i}]: " if len(answer.results) > 1 else ""
                raise Problem(result.code, where + result.detail, result.retry_after)
            results.append(result)
        rows_name = RUNNERS[answer.manifest.task].rows_name
        return cls(
            answer.manifest,
            [(result["width"], result["height"]) for result in results],
            [result[rows_name] for result in results],
            most,
        )

    def table(self, value: Callable[[Row], Any], fill: Any, dtype: Any, *tail: int) -> Array:
        """``value`` of each row asked for [N, K, *tail]; images with fewer rows are filled up."""
        shown = [rows[: self.most] for rows in self.rows]
        table = np.full((len(shown), max(map(len, shown)), *tail), fill, dtype)
        for line, rows in zip(table, shown, strict=True):
            if rows:
                line[: len(rows)] = [value(row) for row in rows]
        return table

    def index(self, row: Row) -> int:
        """The place of a row's label in the manifest, and so in the graph's output."""
        return self._places[row["label_id"], row["label"]]

    @cached_property
    def _places(self) -> dict[tuple[int, str], int]:
        return {(label.id, label.name): i for i, label in enumerate(self.manifest.labels)}


@dataclass(frozen=True)
class OutputRow:
    """An output. ``shape`` names what varies: N images, K rows of each; C is the labels' number.

    default: whether it is given to who names no outputs.
    """

    datatype: str
    shape: tuple[int | str, ...]
    make: Callable[[Found], Array]
    default: bool = True


def _numbers(found: Found) -> Array:
    return np.array([len(rows) for rows in found.rows])


def _boxes(found: Found) -> Array:
    return found.table(lambda row: row["box"], 0, np.float32, 4)


def _scores(found: Found) -> Array:
    return found.table(lambda row: row["score"], 0, np.float32)


def _labels(found: Found) -> Array:
    return found.table(found.index, NO_LABEL, np.int64)


def _label_names(found: Found) -> Array:
    return found.table(lambda row: row["label"], "", object)


def _sizes(found: Found) -> Array:
    return np.array(found.sizes)


def _probabilities(found: Found) -> Array:
    """Every row, back in the labels' order."""
    table = np.zeros((len(found.rows), len(found.manifest.labels)), np.float32)
    for line, rows in zip(table, found.rows, strict=True):
        line[[found.index(row) for row in rows]] = [row["score"] for row in rows]
    return table


_Row = OutputRow
PROBABILITIES = "probabilities"
OUTPUTS: dict[Task, dict[str, OutputRow]] = {
    "detection": {
        "num_detections": _Row("INT64", ("N",), _numbers),
        "boxes": _Row("FP32", ("N", "K", 4), _boxes),
        "scores": _Row("FP32", ("N", "K"), _scores),
        "labels": _Row("INT64", ("N", "K"), _labels),
        "sizes": _Row("INT64", ("N", 2), _sizes),
        "label_names": _Row(BYTES, ("N", "K"), _label_names, default=False),
    },
    "classification": {
        "labels": _Row("INT64", ("N", "K"), _labels),
        "scores": _Row("FP32", ("N", "K"), _scores),
        "label_names": _Row(BYTES, ("N", "K"), _label_names, default=False),
        PROBABILITIES: _Row("FP32", ("N", "C"), _probabilities, default=False),
    },
}


def make_output(name: str, found: Found) -> OutputTensor:
    row = OUTPUTS[found.manifest.task][name]
    return OutputTensor(name, row.datatype, row.make(found))
