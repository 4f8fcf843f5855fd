"""What a row of the table of decoders is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnxscript import ir

from export.adopt.foreign import Foreign
from export.onnx.nodes import Array
from export.settings import NONE_STATED, Settings
from service.manifest import DetectionDefaults, Floor, Label, Task

Op = Any  # onnxscript's OpBuilder: `op.Add(value, 1.0)` adds a node and returns its output
Value = Any  # onnxscript's ir.Value

# How families' own tools make an input of a photo.
IMAGENET = Settings(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
RAW = Settings(scale=1.0)  # pixels as they are
ULTRALYTICS = Settings(  # its LetterBox, by OpenCV
    resize="letterbox", anchor="centre", fill=(114, 114, 114), antialias=False
)


@dataclass(frozen=True)
class Given:
    """What the user says; None where the finder decides.

    decoder: name of a row. preprocessing: over the family's usual; thresholds of a request too.
    settings: of the decoder, such as ``activation`` or ``box_format``.
    labels: those given, or else those that the file names.
    """

    decoder: str | None = None
    preprocessing: Settings = NONE_STATED
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[Label, ...] | None = None


@dataclass(frozen=True)
class Match:
    """A file that a row can decode.

    outputs: names of the file's outputs in the row's order. classes: how many, the background not
    counted. why: what it was told by. settings: what the decoder needs beside the outputs, and a
    classifier's ``activation``. batchless: outputs without an axis for the batch. varying: those
    whose shape differs from photo to photo.
    floor: what the file itself has suppressed already, where it has. labels: names of the classes,
    of a family that has always the same.
    """

    outputs: tuple[str, ...]
    classes: int
    why: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    batchless: frozenset[str] = frozenset()
    varying: frozenset[str] = frozenset()
    floor: Floor | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What a decoder works with beside the values of the outputs."""

    height: int
    width: int
    classes: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def as_they_are(op: Op, rows: Value, anchors: Value | None) -> Value:
    """Rows that are boxes already."""
    return rows


@dataclass(frozen=True)
class Candidates:
    """What a detector's outputs say of A candidates, in a graph; N is the batch.

    scores: float32 [N, A, C] in 0..1. rows: float32 [N, A, B], what boxes are made of.
    anchors: float32 [A, P], constants that they are made of as well.
    to_boxes: makes boxes float32 [N, k, 4], xyxy in pixels of the input, of k chosen rows
        [N, k, B] and anchors [N, k, P].
    """

    scores: Value
    rows: Value
    anchors: Array | None = None
    to_boxes: Callable[[Op, Value, Value | None], Value] = as_they_are


Recognise = Callable[[Foreign, Given], Match | None]


@dataclass(frozen=True)
class Decoder:
    """A family of outputs; a row of the table.

    name: as `--decoder` takes it. title: for people.
    recognise: whether the outputs of a file are of this family; None if not.
    graph: nodes that make `Candidates` of the outputs' values, [N, ...] each in the order of
        `Match.outputs`. A classifier's make probabilities [N, C].
    reference: the same in NumPy, written from the family's own code and not from ``graph``: of one
        image's outputs, [1, ...] each, scores [A, C] and boxes [A, 4] xyxy in pixels of the input;
        of a classifier's, probabilities [C].
    preprocessing: as the family's own tools do it, told from the file where it shows it. What it
        leaves unstated: the photo stretched, in RGB, of 0 to 1.
    defaults: of a detector; those of one that needs no suppression, or has done it, have the IoU
        1.0, at which nothing is suppressed.
    cuts: operators of other domains, which the graph ends before. options: the settings that it
        takes from the user, by the names in `Given`.
    """

    name: str
    title: str
    recognise: Recognise
    graph: Callable[[Op, Sequence[Value], Layout], Any]
    reference: Callable[[Sequence[Array], Layout], Any]
    preprocessing: Settings | Callable[[Foreign], "Told"]
    defaults: DetectionDefaults | None = None
    cuts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        return "classification" if self.defaults is None else "detection"


@dataclass(frozen=True)
class Told:
    """Pre-processing, and what each of its fields was told by; the others are assumed."""

    preprocessing: Settings
    why: Mapping[str, str] = field(default_factory=dict)


DENSE = DetectionDefaults(score_threshold=0.3, iou_threshold=0.5, max_detections=100)
SUPPRESSED = DENSE.model_copy(update={"iou_threshold": 1.0})


def constant(op: Op, values: Array, name: str) -> Value:
    """An initializer of the graph."""
    return op.initializer(ir.tensor(np.ascontiguousarray(values)), name)


def one_hot_scores(op: Op, scores: Value, labels: Value, classes: int) -> Value:
    """Scores [N, K] of one label each, int64 [N, K], as [N, K, C]; labels outside 0..C - 1, such as
    padding's -1, have no score."""
    numbers = constant(op, np.arange(classes, dtype=np.int64), "classes")
    is_label = op.Equal(op.Unsqueeze(labels, [-1]), numbers)
    return op.Mul(op.Cast(is_label, to=1), op.Unsqueeze(scores, [-1]))


def only_output(
    file: Foreign, rank: int, passed_over: int | None = None
) -> tuple[str, Array] | None:
    """The name and value of the file's one output if it is of ``rank``; those of the rank
    ``passed_over`` do not count."""
    found = [(name, value) for name, value in file.answers.items() if value.ndim != passed_over]
    if len(found) != 1:
        return None
    ((name, value),) = found
    return (name, value) if value.ndim == rank and value.dtype == np.float32 else None


def in_0_to_1(values: Array) -> bool:
    """Whether ``values`` may be scores."""
    return bool((values >= 0).all() and (values <= 1).all())


def grid_sizes(height: int, width: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Rows and columns of each level of a pyramid, sides that do not divide rounded up."""
    return [(-(-height // stride), -(-width // stride)) for stride in strides]
