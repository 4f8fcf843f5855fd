"""`python -m benchmarks.nms`: what it costs to turn EfficientDet-D0's raw outputs into detections.

From logits [N, 49104, 90] and deltas [N, 49104, 4] to the outputs of a detector's graph
(docs/graph.md), in several ways, on two threads of ONNX Runtime. The ways and the network itself
take turns, so that drift of the machine affects all of them alike. Printed are medians, as shares
of the network's own.
"""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import typer
from onnxscript import FLOAT, opset20
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from benchmarks.raw_outputs import Array, RawOutputs, shipped_outputs
from export.onnx.graph import Normalise, decode_best
from export.onnx.operators import ONNX_TRANSLATIONS, ints, select_detections_in_onnx
from export.onnx.trace import OPSET
from models.anchors import AnchorGenerator
from models.box_coder import BoxCoder
from models.operators import select_detections
from models.postprocess import MAX_CANDIDATES, decode_anchors
from models.variants import VARIANTS

VARIANT = VARIANTS["tf_efficientdet_d0"]
SIZE, CLASSES = VARIANT.input.height, 90
THREADS = 2
PAIRS = 5000  # of anchor and class, the number that the public implementations keep
IOU_THRESHOLD, MAX_DETECTIONS = 0.5, 100

op: Any = opset20  # its stubs know no symbolic values
Feeds = dict[str, Array]
Decode = Callable[
    [Tensor, Tensor, Tensor, BoxCoder, int, int, Tensor, Tensor], tuple[Tensor, Tensor]
]


def every_anchor(
    scores: Any, boxes: Any, score: Any, iou: Any, number: Any, candidates: int, agnostic: Any
) -> tuple[Any, ...]:
    """ONNX NonMaxSuppression for each class over all anchors."""
    rivals = op.Transpose(scores, perm=[0, 2, 1])  # [N, C, A]
    best, index = _suppress(boxes, rivals, score, iou, number)
    anchors = op.Shape(boxes, start=1, end=2)
    return _finish(best, op.Div(index, anchors), boxes, op.Mod(index, anchors))


def pairs_moved_apart(
    scores: Any, boxes: Any, score: Any, iou: Any, number: Any, candidates: int, agnostic: Any
) -> tuple[Any, ...]:
    """The best pairs of anchor and class, each class's boxes moved beside the others', and one NMS
    over all: torchvision's and effdet's way."""
    classes = op.Shape(scores, start=2, end=3)
    pair_scores, pairs = op.TopK(op.Reshape(scores, ints(0, -1)), ints(PAIRS))  # [N, P]
    labels, anchors = op.Mod(pairs, classes), op.Div(pairs, classes)
    pair_boxes = op.GatherND(boxes, op.Unsqueeze(anchors, ints(-1)), batch_dims=1)  # [N, P, 4]
    offsets = op.Mul(op.Cast(labels, to=FLOAT.dtype), op.Constant(value_float=float(SIZE + 1)))
    moved = op.Add(pair_boxes, op.Unsqueeze(offsets, ints(-1)))
    best, index = _suppress(moved, op.Unsqueeze(pair_scores, ints(1)), score, iou, number)
    label = op.GatherND(labels, op.Unsqueeze(index, ints(-1)), batch_dims=1)
    return _finish(best, label, pair_boxes, index)


def candidates_moved_apart(
    scores: Any, boxes: Any, score: Any, iou: Any, number: Any, candidates: int, agnostic: Any
) -> tuple[Any, ...]:
    """The same, with the pairs of the best anchors alone."""
    best_class = op.ReduceMax(scores, ints(2), keepdims=0)
    _, top = op.TopK(best_class, ints(candidates))
    top = op.Unsqueeze(top, ints(-1))
    top_scores = op.GatherND(scores, top, batch_dims=1)
    top_boxes = op.GatherND(boxes, top, batch_dims=1)
    return pairs_moved_apart(top_scores, top_boxes, score, iou, number, candidates, agnostic)


def by_class_alone(
    scores: Any, boxes: Any, score: Any, iou: Any, number: Any, candidates: int, agnostic: Any
) -> tuple[Any, ...]:
    """The exported subgraph without its `class_agnostic`."""
    return select_detections_in_onnx(scores, boxes, score, iou, number, candidates)


def _suppress(boxes: Any, rivals: Any, score: Any, iou: Any, number: Any) -> tuple[Any, Any]:
    """Scores and flat indices, [N, K] each, of the entries of ``rivals`` [N, rows, boxes] that NMS
    keeps."""
    kept = op.NonMaxSuppression(boxes, rivals, number, iou, score)
    blank = op.ConstantOfShape(op.Shape(rivals))
    kept_scores = op.ScatterND(blank, kept, op.GatherND(rivals, kept))
    best, index = op.TopK(op.Reshape(kept_scores, ints(0, -1)), op.Reshape(number, ints(1)))
    return best, index


def _finish(best: Any, label: Any, boxes: Any, index: Any) -> tuple[Any, ...]:
    found = op.Greater(best, op.Constant(value_float=0.0))
    best_boxes = op.GatherND(boxes, op.Unsqueeze(index, ints(-1)), batch_dims=1)
    return (
        op.ReduceSum(op.Cast(found, to=onnx.TensorProto.INT64), ints(1), keepdims=0),
        op.Where(op.Unsqueeze(found, ints(-1)), best_boxes, op.Constant(value_float=0.0)),
        best,
        op.Where(found, label, op.Constant(value_int=-1)),
    )


@dataclass(frozen=True)
class Way:
    """How anchors become boxes and scores, and these become detections."""

    name: str
    decode: Decode
    select: Callable[..., tuple[Any, ...]]


def decode_all(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    coder: BoxCoder,
    height: int,
    width: int,
    score: Tensor,
    number: Tensor,
) -> tuple[Tensor, Tensor]:
    """Decode every anchor; ``score`` and ``number`` are unused."""
    return decode_anchors(logits, deltas, anchors, coder, height, width)


REFERENCE = "every anchor, NMS per class"
EXPORTED = "anchors cut by logit, then decoded, NMS per class (exported)"
WAYS = (
    Way(REFERENCE, decode_all, every_anchor),
    Way("top 5000 pairs, classes moved apart, one NMS", decode_all, pairs_moved_apart),
    Way("top 1000 anchors, classes moved apart, one NMS", decode_all, candidates_moved_apart),
    Way("top 1000 anchors, NMS per class", decode_all, select_detections_in_onnx),
    Way(EXPORTED, decode_best, select_detections_in_onnx),
    Way("the same without `class_agnostic`", decode_best, by_class_alone),
)


class PostProcessing(nn.Module):
    """From raw outputs to detections, as at the end of a `DetectorGraph`."""

    def __init__(self, decode: Decode, anchors: Tensor) -> None:
        super().__init__()
        self.decode, self.anchors = decode, nn.Buffer(anchors)

    def forward(
        self, logits: Tensor, deltas: Tensor, score: Tensor, iou: Tensor, number: Tensor, c: Tensor
    ) -> tuple[Tensor, ...]:
        # The shipped detector writes its deltas as every EfficientDet does.
        coder = BoxCoder(order="yxhw", max_log_scale=None)
        scores, boxes = self.decode(logits, deltas, self.anchors, coder, SIZE, SIZE, score, number)
        found: tuple[Tensor, ...] = select_detections(
            scores, boxes, score, iou, number, MAX_CANDIDATES, c
        )
        return found


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.network = Normalise(VARIANT.input), VARIANT.build(CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = self.network(self.normalise(images))
        return outputs


def to_session(
    module: nn.Module, example: Sequence[Tensor], batched: int, **options: Any
) -> ort.InferenceSession:
    """``module`` in ONNX Runtime; the first ``batched`` inputs have a batch of any size."""
    axes = [{0: torch.export.Dim("N")} if i < batched else None for i in range(len(example))]
    program = torch.onnx.export(
        module.eval(),
        tuple(example),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=tuple(axes),
        **options,
    )
    assert program is not None
    session = ort.SessionOptions()
    session.intra_op_num_threads = THREADS
    return ort.InferenceSession(program.model_proto.SerializeToString(), session)


def way_session(way: Way, logits: Tensor, deltas: Tensor, anchors: Tensor) -> ort.InferenceSession:
    table = {**ONNX_TRANSLATIONS, torch.ops.boxport.select_detections.default: way.select}
    settings = (torch.tensor(0.05), torch.tensor(0.5), torch.tensor(10), torch.tensor(False))
    return to_session(
        PostProcessing(way.decode, anchors),
        (logits, deltas, *settings),
        batched=2,
        input_names=["logits", "deltas", "score", "iou", "number", "class_agnostic"],
        custom_translation_table=table,
    )


@dataclass(frozen=True)
class Case:
    """An input of the post-processing. pairs: of anchor and class above the threshold, for each
    photo."""

    name: str
    feeds: Feeds
    pairs: float


def cases(outputs: RawOutputs, images: int) -> list[Case]:
    made = []
    for crowded, threshold in ((False, 0.3), (False, 0.05), (True, 0.3), (True, 0.05)):
        logits, deltas = outputs.tile(images, crowded)
        pairs = float((1 / (1 + np.exp(-logits)) > threshold).sum()) / images
        feeds = {
            "logits": logits,
            "deltas": deltas,
            "score": np.array(threshold, dtype=np.float32),
            "iou": np.array(IOU_THRESHOLD, dtype=np.float32),
            "number": np.array(MAX_DETECTIONS, dtype=np.int64),
            "class_agnostic": np.array(False),
        }
        made.append(Case(f"{'crowded' if crowded else 'sparse'}, {threshold}", feeds, pairs))
    return made


def run(session: ort.InferenceSession, feeds: Feeds) -> list[Array]:
    """The session's outputs; it is given the ``feeds`` that it reads."""
    names = {value.name for value in session.get_inputs()}
    outputs: list[Array] = session.run(None, {k: v for k, v in feeds.items() if k in names})
    return outputs


def differing(found: list[Array], expected: list[Array]) -> int:
    """The number of detections that are not among those of the reference."""
    number = 0
    for image, count in enumerate(found[0]):
        (boxes, scores, labels), (others, other_scores, other_labels) = (
            [array[image] for array in outputs[1:]] for outputs in (found, expected)
        )
        same = labels[:count, None] == other_labels
        same &= np.isclose(scores[:count, None], other_scores, rtol=0, atol=1e-6)
        same &= np.isclose(boxes[:count, None], others, rtol=0, atol=1e-3).all(axis=-1)
        number += int((~same.any(axis=1)).sum())
    return number


def time_in_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, over ``rounds`` turns after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in track(range(rounds + 1), "turns", console=Console(stderr=True)):
        for name, action in runs.items():
            started = time.perf_counter()
            action()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_table(
    images: int,
    rounds: int,
    network: ort.InferenceSession,
    sessions: dict[str, ort.InferenceSession],
    outputs: RawOutputs,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIZE, SIZE, 3), dtype=np.uint8)
    columns, shares, differences, milliseconds = cases(outputs, images), [], [], []
    for case in columns:
        runs: dict[str, Callable[[], object]] = {"": lambda: run(network, {"images": pixels})}
        for name, session in sessions.items():
            runs[name] = lambda session=session: run(session, case.feeds)  # noqa: B023
        seconds = time_in_turns(runs, rounds)
        expected = run(sessions[REFERENCE], case.feeds)
        milliseconds.append(seconds[""] * 1000)
        shares.append({name: seconds[name] / seconds[""] for name in sessions})
        differences.append(
            {n: differing(run(s, case.feeds), expected) for n, s in sessions.items()}
        )
    network_ms = statistics.median(milliseconds)
    print(f"\nBatch {images}; the network alone takes {network_ms:.0f} ms.\n")
    print("| way | " + " | ".join(case.name for case in columns) + " | detections that differ |")
    print("|---|" + "---|" * (len(columns) + 1))
    pairs = " | ".join(f"{case.pairs:.0f}" for case in columns)
    print(f"| pairs above the threshold, a photo | {pairs} | |")
    for name in sessions:
        cells = " | ".join(f"{share[name]:.1%}" for share in shares)
        others = ", ".join(str(counts[name]) for counts in differences)
        print(f"| {name} | {cells} | {others} |", flush=True)


def main(rounds: int = 30, batches: str = "1,8") -> None:
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    logits, deltas = shipped_outputs()
    lite = VARIANTS["efficientdet_lite0"]
    settings, size = lite.build(1).anchors, lite.input.height
    anchors = AnchorGenerator(settings).over_input(size, size) * (SIZE / size)
    network = Network()
    count = len(AnchorGenerator(network.network.anchors).over_input(SIZE, SIZE))
    outputs = RawOutputs(logits, deltas, anchors, count, CLASSES)
    example = [torch.from_numpy(array) for array in outputs.tile(2, crowded=False)]
    sessions = {way.name: way_session(way, *example, outputs.all_anchors) for way in WAYS}
    images = torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)
    network_session = to_session(network, (images,), batched=1, input_names=["images"])
    print(
        f"ONNX Runtime {ort.__version__}, PyTorch {torch.__version__}, {THREADS} threads,"
        f" {platform.processor() or platform.machine()}; medians of {rounds} rounds"
    )
    for batch in batches.split(","):
        print_table(int(batch), rounds, network_session, sessions, outputs)


if __name__ == "__main__":
    typer.run(main)
