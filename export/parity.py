"""The parity gate: ONNX Runtime must answer as PyTorch does, or there is no package."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import Tensor, nn

from service.manifest import Parity

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Outputs = list[Array]
OnProgress = Callable[[int, int], None]  # how many of how many batches are compared

BATCH_SIZES = (1, 2, 7)
SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 0.01  # pixels
SCORE_THRESHOLD = 0.05  # low, so that many detections are compared
IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 100


class ParityError(Exception):
    """The two disagree; the message says on what, where and by how much."""


@dataclass(frozen=True)
class Case:
    """A batch uint8 [N, H, W, 3] to compare on, and the threshold to do it with."""

    name: str
    images: Image
    score_threshold: float = SCORE_THRESHOLD


@dataclass
class Differences:
    """The greatest differences so far."""

    score: float = 0.0
    box: float = 0.0
    compared: int = 0

    def add(self, score: float, box: float = 0.0) -> None:
        self.score, self.box = max(self.score, score), max(self.box, box)
        self.compared += 1


def photo_batches(photos: Sequence[Image]) -> Iterator[Case]:
    """Every photo, at each of `BATCH_SIZES`; the last batch of a size is filled from the start."""
    for size in BATCH_SIZES:
        for start in range(0, len(photos), size):
            chosen = [photos[(start + i) % len(photos)] for i in range(size)]
            yield Case(f"photos from {start} at batch {size}", stack(chosen))


def stack(images: Sequence[Image]) -> Image:
    """Images [H, W, 3] as one batch; smaller ones are filled up with grey."""
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    batch = np.full((len(images), height, width, 3), 128, dtype=np.uint8)
    for row, image in zip(batch, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return batch


def check_classifier(
    graph: nn.Module,
    session: ort.InferenceSession,
    photos: Sequence[Image],
    on_progress: OnProgress = lambda done, total: None,
) -> Parity:
    """Compare probabilities and the best class; raises ParityError."""
    differences = Differences()
    cases = list(photo_batches(photos))
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        expected = _run_torch(graph, {"images": case.images})[0]
        actual = _run_onnx(session, {"images": case.images})[0]
        for i, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
            difference = float(np.abs(wanted - got).max())
            if difference > SCORE_TOLERANCE or wanted.argmax() != got.argmax():
                raise ParityError(
                    f"{case.name}, image {i}: probabilities differ by {difference:.2g}"
                    f" (at most {SCORE_TOLERANCE:g}), best classes are {wanted.argmax()} in"
                    f" PyTorch and {got.argmax()} in ONNX Runtime"
                )
            differences.add(difference)
    return Parity(
        images=len(photos), batch_sizes=BATCH_SIZES, max_score_difference=differences.score
    )


def check_detector(
    graph: nn.Module,
    session: ort.InferenceSession,
    photos: Sequence[Image],
    on_progress: OnProgress = lambda done, total: None,
) -> Parity:
    """Compare detections: on photos, on images with none, on both mixed; raises ParityError."""
    differences = Differences()
    cases = [*photo_batches(photos), *_sparse_batches(graph, photos)]
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        feeds: dict[str, Array] = {
            "images": case.images,
            "score_threshold": np.array(case.score_threshold, dtype=np.float32),
            "iou_threshold": np.array(IOU_THRESHOLD, dtype=np.float32),
            "max_detections": np.array(MAX_DETECTIONS, dtype=np.int64),
        }
        expected, actual = _run_torch(graph, feeds), _run_onnx(session, feeds)
        for i in range(len(case.images)):
            wanted, got = _detections(expected, i), _detections(actual, i)
            where = f"{case.name}, image {i}"
            _compare_detections(where, wanted, got, case.score_threshold, differences)
    if differences.compared == 0:
        raise ParityError(f"no photo has a detection above {SCORE_THRESHOLD}: nothing to compare")
    return Parity(
        images=len(photos),
        batch_sizes=BATCH_SIZES,
        max_score_difference=differences.score,
        max_box_difference_px=differences.box,
        detections_compared=differences.compared,
    )


def _sparse_batches(graph: nn.Module, photos: Sequence[Image]) -> list[Case]:
    """Batches at thresholds that leave all, or some, of their images without a detection."""
    feeds: dict[str, Array] = {
        "images": stack(photos),
        "score_threshold": np.array(0, dtype=np.float32),
        "iou_threshold": np.array(IOU_THRESHOLD, dtype=np.float32),
        "max_detections": np.array(1, dtype=np.int64),
    }
    best = np.sort(_run_torch(graph, feeds)[2][:, 0])
    middle = float(best[len(best) // 2 - 1] + best[len(best) // 2]) / 2
    above_all = float(best[-1] + 1) / 2
    blank = np.full_like(photos[0], 128)
    return [
        Case("a photo with no detection", stack(photos[:1]), above_all),
        Case("photos with no detection", stack(photos), above_all),
        Case("photos with and without detections", stack([*photos, blank]), middle),
    ]


@dataclass(frozen=True, eq=False)
class Detection:
    box: npt.NDArray[np.float32]
    score: float
    label: int


def _detections(outputs: Outputs, image: int) -> list[Detection]:
    """One image's rows without the padding, whose content is checked."""
    numbers, boxes, scores, labels = outputs
    number = int(numbers[image])
    if np.any(labels[image, number:] != -1) or np.any(scores[image, number:] != 0):
        raise ParityError(f"image {image}: rows past num_detections are not padding")
    return [
        Detection(boxes[image, i], float(scores[image, i]), int(labels[image, i]))
        for i in range(number)
    ]


def _compare_detections(
    where: str,
    wanted: list[Detection],
    got: list[Detection],
    threshold: float,
    differences: Differences,
) -> None:
    """Pair the two lists off. Equal scores may come in either order, and a score that lies on the
    threshold, or competes for the last place, may fall on either side."""
    missing = list(wanted)
    unmatched = []
    for detection in got:
        twin = next((other for other in missing if _agree(detection, other)), None)
        if twin is None:
            unmatched.append(detection)
            continue
        missing.remove(twin)
        box_difference = float(np.abs(detection.box - twin.box).max())
        differences.add(abs(detection.score - twin.score), box_difference)
    is_full = len(wanted) == MAX_DETECTIONS
    edge = max(threshold, wanted[-1].score if is_full else 0.0) + SCORE_TOLERANCE
    lost = [d for d in (*missing, *unmatched) if d.score > edge]
    if lost:
        raise ParityError(
            f"{where}: PyTorch finds {len(wanted)} objects and ONNX Runtime {len(got)}, of which"
            f" {len(lost)} agree with none of the other side, the first with label"
            f" {lost[0].label}, score {lost[0].score:.4f}, box {lost[0].box.round(2).tolist()}"
        )


def _agree(a: Detection, b: Detection) -> bool:
    return (
        a.label == b.label
        and abs(a.score - b.score) <= SCORE_TOLERANCE
        and bool(np.abs(a.box - b.box).max() <= BOX_TOLERANCE)
    )


def _run_torch(graph: nn.Module, feeds: dict[str, Array]) -> Outputs:
    with torch.no_grad():
        outputs = graph(*(torch.from_numpy(value) for value in feeds.values()))
    return [o.numpy() for o in ([outputs] if isinstance(outputs, Tensor) else outputs)]


def _run_onnx(session: ort.InferenceSession, feeds: dict[str, Array]) -> Outputs:
    outputs: Outputs = session.run(None, feeds)
    return outputs
