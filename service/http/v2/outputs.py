"""The rows that a model gives as tensors, and the reply of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import orjson
from starlette.responses import Response

from service.engine.answer import Answer
from service.http.replies import JSON_TYPE, TIMING_HEADER, server_timing, timing_ms
from service.http.v2.body import LENGTH_HEADER
from service.http.v2.tensors import BYTES, Array, OutputTensor
from service.inference.model import PREDICTORS
from service.inference.task import Row
from service.manifest import CONTOURS, ModelManifest, Task
from service.problems import Problem

JOINT = "+"  # of an ensemble's name, which no model's name has
ONLY_VERSION = "1"  # of an ensemble, whose models have their own
NO_LABEL = -1  # as the graph itself fills up
Kind = Task | Literal["ensemble"]  # of a model: the last is a detector and then a classifier


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for each image of a request.

    sizes: width and height of each, in pixels. ``rows``: of each, as /v1 replies them.
    max_rows: of each image that are shown, None for all.
    then: of the classifier whose classes the rows of a detector have, if they have any.
    novelties: of each image, if they were asked for.
    """

    manifest: ModelManifest
    sizes: list[tuple[int, int]]
    rows: list[list[Row]]
    max_rows: int | None = None
    then: ModelManifest | None = None
    novelties: list[float | None] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Answer, max_rows: int | None = None) -> "Predictions":
        """Raises the Problem of the first image that has one: the protocol has no place for it
        beside the others' results."""
        results: list[dict[str, Any]] = []
        for i, result in enumerate(answer.results):
            if isinstance(result, Problem):
                where = f"image[{i}]: " if len(answer.results) > 1 else ""
                raise Problem(result.code, where + result.detail, result.retry_after)
            results.append(result)
        rows_name = PREDICTORS[answer.manifest.task].rows_name
        return cls(
            answer.manifest,
            [(result["width"], result["height"]) for result in results],
            [result[rows_name] for result in results],
            max_rows,
            answer.then,
            [result.get("novelty") for result in results],
        )

    @property
    def kind(self) -> "Kind":
        return self.manifest.task if self.then is None else "ensemble"

    def table(self, value: Callable[[Row], Any], fill: Any, dtype: Any, *tail: int) -> Array:
        """``value`` of each row shown [N, K, *tail]; images with fewer rows are filled up."""
        shown = [rows[: self.max_rows] for rows in self.rows]
        table = np.full((len(shown), max(map(len, shown)), *tail), fill, dtype)
        for line, rows in zip(table, shown, strict=True):
            if rows:
                line[: len(rows)] = [value(row) for row in rows]
        return table

    def classes(self, value: Callable[[Row], Any], fill: Any, dtype: Any) -> Array:
        """``value`` of each class of each detection [N, K, T]; what has fewer is filled up."""
        numbers = [len(row["classifications"]) for rows in self.rows for row in rows]
        most = max(numbers, default=0)

        def of_row(row: Row) -> list[Any]:
            values = [value(one) for one in row["classifications"]]
            return values + [fill] * (most - len(values))

        return self.table(of_row, fill, dtype, most)

    def index(self, row: Row) -> int:
        """The place of a row's label in the manifest, and so in the graph's output."""
        return self._places[row["label_id"], row["label"]]

    def class_index(self, row: Row) -> int:
        """`index` of a detection's class, in the manifest of its classifier."""
        return self._class_places[row["label_id"], row["label"]]

    @cached_property
    def _places(self) -> dict[tuple[int, str], int]:
        return _places_of(self.manifest)

    @cached_property
    def _class_places(self) -> dict[tuple[int, str], int]:
        assert self.then is not None
        return _places_of(self.then)


def _places_of(manifest: ModelManifest) -> dict[tuple[int, str], int]:
    return {(label.id, label.name): i for i, label in enumerate(manifest.labels)}


@dataclass(frozen=True)
class OutputRow:
    """An output. ``shape`` names what varies: N images, K rows of each, T classes or V vertices of
    each of those; C is the labels' number.

    default: whether it is given to who names no outputs. of: the graph's output without which
    there is none.
    """

    datatype: str
    shape: tuple[int | str, ...]
    make: Callable[[Predictions], Array]
    default: bool = True
    of: str | None = None


def _numbers(predictions: Predictions) -> Array:
    return np.array([len(rows) for rows in predictions.rows])


def _boxes(predictions: Predictions) -> Array:
    return predictions.table(lambda row: row["box"], 0, np.float32, 4)


def _scores(predictions: Predictions) -> Array:
    return predictions.table(lambda row: row["score"], 0, np.float32)


def _labels(predictions: Predictions) -> Array:
    return predictions.table(predictions.index, NO_LABEL, np.int64)


def _label_names(predictions: Predictions) -> Array:
    return predictions.table(lambda row: row["label"], "", object)


def _sizes(predictions: Predictions) -> Array:
    return np.array(predictions.sizes)


def _probabilities(predictions: Predictions) -> Array:
    """Every row, back in the labels' order."""
    table = np.zeros((len(predictions.rows), len(predictions.manifest.labels)), np.float32)
    for line, rows in zip(table, predictions.rows, strict=True):
        line[[predictions.index(row) for row in rows]] = [row["score"] for row in rows]
    return table


def _class_labels(predictions: Predictions) -> Array:
    return predictions.classes(predictions.class_index, NO_LABEL, np.int64)


def _class_scores(predictions: Predictions) -> Array:
    return predictions.classes(lambda row: row["score"], 0, np.float32)


def _class_label_names(predictions: Predictions) -> Array:
    return predictions.classes(lambda row: row["label"], "", object)


def _contours(predictions: Predictions) -> Array:
    """A detection that is not outlined has zeros, as padding has."""
    nothing = np.zeros((vertices_of(predictions.manifest), 2), np.float32)
    return predictions.table(lambda row: row.get("contour", nothing), 0, np.float32, *nothing.shape)


def _novelties(predictions: Predictions) -> Array:
    return np.array(predictions.novelties, np.float32)  # None becomes NaN


_Row = OutputRow
NOVELTY = "novelty"  # of models that have a companion
NOVELTY_ROW = _Row("FP32", ("N",), _novelties, default=False)
PROBABILITIES = "probabilities"
_DETECTION = {
    "num_detections": _Row("INT64", ("N",), _numbers),
    "boxes": _Row("FP32", ("N", "K", 4), _boxes),
    "scores": _Row("FP32", ("N", "K"), _scores),
    "labels": _Row("INT64", ("N", "K"), _labels),
    "sizes": _Row("INT64", ("N", 2), _sizes),
    "label_names": _Row(BYTES, ("N", "K"), _label_names, default=False),
    CONTOURS: _Row("FP32", ("N", "K", "V", 2), _contours, default=False, of=CONTOURS),
    NOVELTY: NOVELTY_ROW,
}
OUTPUTS: dict[Kind, dict[str, OutputRow]] = {
    "detection": _DETECTION,
    "ensemble": {
        **_DETECTION,
        "class_labels": _Row("INT64", ("N", "K", "T"), _class_labels),
        "class_scores": _Row("FP32", ("N", "K", "T"), _class_scores),
        "class_label_names": _Row(BYTES, ("N", "K", "T"), _class_label_names, default=False),
    },
    "classification": {
        "labels": _Row("INT64", ("N", "K"), _labels),
        "scores": _Row("FP32", ("N", "K"), _scores),
        "label_names": _Row(BYTES, ("N", "K"), _label_names, default=False),
        PROBABILITIES: _Row("FP32", ("N", "C"), _probabilities, default=False),
        NOVELTY: NOVELTY_ROW,
    },
}


def vertices_of(manifest: ModelManifest) -> int:
    """Of each contour, where a model finds outlines; else 0."""
    last = manifest.outputs[-1]
    return int(last.shape[2]) if last.name == CONTOURS else 0


def rows_of(manifest: ModelManifest, then: ModelManifest | None) -> dict[str, OutputRow]:
    """The outputs of a model, or of an ensemble with the classifier ``then``, by name."""
    rows = OUTPUTS[manifest.task if then is None else "ensemble"]
    own = {tensor.name for tensor in manifest.outputs}
    return {name: row for name, row in rows.items() if row.of is None or row.of in own}


def ensemble_name(detector: ModelManifest, classifier: ModelManifest) -> str:
    return f"{detector.name}{JOINT}{classifier.name}"


def answered_by(answer: Answer) -> tuple[str, str]:
    """The name and the version of the model, or ensemble, that a reply is of."""
    if answer.then is not None:
        return ensemble_name(answer.manifest, answer.then), ONLY_VERSION
    return answer.manifest.name, answer.manifest.version


def make_output(name: str, predictions: Predictions) -> OutputTensor:
    row = OUTPUTS[predictions.kind][name]
    return OutputTensor(name, row.datatype, row.make(predictions))


def infer_reply(
    answer: Answer, predictions: Predictions, outputs: dict[str, bool], body_id: str
) -> Response:
    """JSON, and after it the tensors wanted as bytes: ``outputs`` says of each whether it is.

    body_id: the request's own id, in its body.
    """
    parts: list[bytes] = []
    described: list[dict[str, Any]] = []
    for name, binary in outputs.items():
        tensor = make_output(name, predictions)
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary:
            parts.append(tensor.to_bytes())
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = tensor.to_json()
        described.append(output)
    name, version = answered_by(answer)
    reply = {"model_name": name, "model_version": version, "outputs": described}
    if body_id:
        reply["id"] = body_id
    text = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {TIMING_HEADER: server_timing(timing_ms(answer))}
    if not parts:
        return Response(text, media_type=JSON_TYPE, headers=headers)
    headers[LENGTH_HEADER] = str(len(text))
    content = b"".join([text, *parts])
    return Response(content, media_type="application/octet-stream", headers=headers)
