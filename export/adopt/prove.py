"""The package against the untouched file: the same pixels, normalised and decoded in NumPy."""

from collections.abc import Sequence

import numpy as np
import onnx
import torch

from export.adopt.batch import rounds
from export.adopt.decoders.boxes import MOST_ROWS
from export.adopt.foreign import DTYPES
from export.adopt.plan import Plan
from export.onnx.nodes import Array
from export.parity.comparison import TOLERANCES
from export.parity.gate import check_parity
from export.parity.model import Feeds, Image, Model, Outputs
from export.progress import OnProgress, ignore_progress
from models.postprocess import select_detections
from service.manifest import CLASSIFICATION_INPUTS, DETECTION_INPUTS
from service.provenance import Parity, Tolerance
from service.runtime.graph_facts import precision_of

PREPROCESSING = "pre-processing"  # what a comparison from the same pixels cannot show
NAME = "the untouched file"
SETTINGS = ("score_threshold", "iou_threshold", "max_detections", "class_agnostic")
KEPT = 256  # answers of photos
# A graph that rounds to 256 steps as it runs: a difference of binary32 may move a value by a step.
STEPS = Tolerance(score=0.01, iou=0.95, matched=1.0)


class ForeignSession:
    """The untouched file, one photo at a time, behind the interface of a package's session: with
    pre-processing and the row's reference decoder in NumPy, and the selection in PyTorch."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._answers: dict[bytes, tuple[Array, ...]] = {}

    def run(self, names: Sequence[str] | None, feeds: Feeds) -> Outputs:
        """All outputs of docs/graph.md, of which ``names`` must be the names, if given."""
        found = [self._answer(image) for image in feeds["images"]]
        if self._plan.decoder.task == "classification":
            return [np.stack([probabilities for (probabilities,) in found])]
        scores, boxes = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
        settings = (torch.from_numpy(np.asarray(feeds[name])) for name in SETTINGS)
        score, iou, most, agnostic = settings
        outputs = select_detections(scores, boxes, score, iou, most, class_agnostic=agnostic)
        return [output.numpy() for output in outputs]

    def _answer(self, image: Image) -> tuple[Array, ...]:
        """One photo's, which the cases of the gate ask for more than once."""
        key = image.tobytes()
        if key not in self._answers:
            if len(self._answers) >= KEPT:
                self._answers.clear()
            self._answers[key] = self._compute(image)
        return self._answers[key]

    def _compute(self, image: Image) -> tuple[Array, ...]:
        plan = self._plan
        found = plan.foreign.run(self._pixels(image))
        answer = plan.decoder.reference([found[n] for n in plan.match.outputs], plan.layout)
        if plan.decoder.task == "classification":
            return (answer,)
        scores, boxes = best_rows(*answer) if plan.match.varying else answer
        limit = np.array([plan.foreign.width, plan.foreign.height] * 2)
        boxes = np.clip(boxes, 0, limit)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
        return scores.astype(np.float32), boxes.astype(np.float32)

    def _pixels(self, image: Image) -> Array:
        """uint8 [H, W, 3], RGB, as the file reads it: [1, ...]."""
        file, spec = self._plan.foreign, self._plan.input
        values: Array = image[..., ::-1] if spec.channel_order == "bgr" else image
        dtype = DTYPES[file.image.dtype]
        if dtype != np.uint8:
            values = (values.astype(np.float32) * spec.scale - spec.mean) / spec.std
        if file.layout == "nchw":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None], dtype=dtype)


def best_rows(scores: Array, boxes: Array) -> tuple[Array, Array]:
    """The best `MOST_ROWS` of any number of rows, [A, C] and [A, 4]; zeros where there are fewer:
    as many as the graph has of outputs whose number differs from photo to photo."""
    order = np.argsort(-scores.max(axis=1), kind="stable")[:MOST_ROWS]
    rest = ((0, MOST_ROWS - len(order)), (0, 0))
    return np.pad(scores[order], rest), np.pad(boxes[order], rest)


def foreign_model(plan: Plan) -> Model:
    session = ForeignSession(plan)
    detects = plan.decoder.task == "detection"
    inputs = DETECTION_INPUTS if detects else CLASSIFICATION_INPUTS
    return Model(NAME, lambda feeds: session.run(None, feeds), inputs)


def prove(
    plan: Plan, candidate: Model, photos: Sequence[Image], on_progress: OnProgress = ignore_progress
) -> Parity:
    """Hold the package's graph against the untouched file on ``photos`` and on the gate's cases.

    Raises ParityError at the first difference: scores by 1e-4, boxes by .01 pixels, or a label; of
    a file that rounds as it runs, or computes in float16, by more.
    """
    parity = check_parity(
        plan.decoder.task,
        foreign_model(plan),
        candidate,
        photos,
        _tolerance(plan.foreign.model),
        on_progress,
        kind="foreign_onnx",
    )
    return parity.model_copy(update={"unproven": (PREPROCESSING,)})


def _tolerance(model: onnx.ModelProto) -> Tolerance:
    if rounds(model):
        return STEPS
    return TOLERANCES["fp16" if precision_of(model) == "fp16" else "fp32"]
