"""The gate lets through what is the same, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest

from export.parity.cases import Case
from export.parity.comparison import TOLERANCES, ParityError
from export.parity.gate import Answers, Gate, check_parity
from export.parity.model import Feeds, Model, Outputs

FP32, INT8 = TOLERANCES["fp32"], TOLERANCES["int8"]
KINDS = [
    "photos at batch 1",
    "photos at batch 2",
    "photos at batch 7",
    "objects cut by the photo's border",
    "portrait, landscape, panorama and tiny photos",
    "black, white and noise",
    "a batch beyond those promised",
    "flat and tiled images, whose anchors tie",
    "more objects than are asked for",
    "no detection in any photo",
    "photos with and without detections",
    "suppression across classes",
    "any score, and no overlap at all",
    "overlaps that are allowed",
    "all that is found, by class",
    "all that is found, of any class",
]

Change = Callable[[Outputs], None]


def changed(model: Model, change: Change, where: Callable[[Feeds], bool]) -> Model:
    """``model`` with ``change`` made to its answers to feeds that are as ``where`` says."""

    def run(feeds: Feeds) -> Outputs:
        outputs = [output.copy() for output in model.run(feeds)]
        if where(feeds):
            change(outputs)
        return outputs

    return Model("the candidate", run)


def nothing(outputs: Outputs) -> None:
    pass


def next_label(outputs: Outputs) -> None:
    outputs[3][outputs[3] >= 0] += 1


def moved_box(outputs: Outputs) -> None:
    outputs[1][0, 0] += 1.0


def no_number(outputs: Outputs) -> None:
    outputs[2][0, 0] = np.nan


def fewer_rows(outputs: Outputs) -> None:
    outputs[1:] = [output[:, :-1] for output in outputs[1:]]


def used_padding(outputs: Outputs) -> None:
    outputs[3][0, -1] = 0


def wrong_order(outputs: Outputs) -> None:
    for output in outputs[1:]:
        output[0, :2] = output[0, 1::-1].copy()


def fewer_found(outputs: Outputs) -> None:
    outputs[0][0] -= 1
    last = outputs[0][0]
    outputs[1][0, last], outputs[2][0, last], outputs[3][0, last] = 0, 0, -1


def found_one(outputs: Outputs) -> None:
    outputs[0][0] = 1
    outputs[1][0, 0], outputs[2][0, 0], outputs[3][0, 0] = (0, 0, 9, 9), 0.999, 0


def anywhere(feeds: Feeds) -> bool:
    return True


def none_is_found(feeds: Feeds) -> bool:
    return bool(feeds["score_threshold"] > 0.4)


def few_are_asked_for(feeds: Feeds) -> bool:
    return bool(feeds["max_detections"] == 3)


def classes_suppress_each_other(feeds: Feeds) -> bool:
    return bool(feeds["class_agnostic"])


def is_black(feeds: Feeds) -> bool:
    return not feeds["images"][0].any()


def is_whole_batch(feeds: Feeds) -> bool:
    return len(feeds["images"]) == 7


def is_beyond_all_batches(feeds: Feeds) -> bool:
    return len(feeds["images"]) > 7


def nothing_is_suppressed(feeds: Feeds) -> bool:
    return bool(feeds["iou_threshold"] == 1 and feeds["max_detections"] > 1000)


def test_gate_says_what_it_compared(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector
    progress: list[tuple[int, int]] = []
    parity = check_parity(
        "detection", model, model, photos, FP32, lambda done, total: progress.append((done, total))
    )
    assert (parity.reference, parity.images, parity.batch_sizes) == (
        "boxport_network",
        7,
        (1, 2, 7),
    )
    assert [case.name for case in parity.cases] == KINDS
    found_in = {case.name: case.detections for case in parity.cases}
    assert found_in["no detection in any photo"] == 0
    assert (
        found_in["more objects than are asked for"] == 8
    )  # three, then one, of each of two photos
    assert all(n > 0 for name, n in found_in.items() if name != "no detection in any photo")
    assert parity.detections_compared == sum(found_in.values())
    assert (parity.max_score_difference, parity.max_box_difference_px, parity.min_iou) == (0, 0, 1)
    assert (parity.agreeing, parity.ambiguous, parity.tolerance) == (1, 0, FP32)
    assert progress == [(i, 28) for i in range(28)]


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        (next_label, anywhere, "photos at batch 1, from photo 0, image 0: PyTorch finds"),
        (moved_box, anywhere, "have no match on the other side"),
        (no_number, anywhere, "have no match on the other side"),
        (fewer_rows, anywhere, "have the shapes"),
        (wrong_order, anywhere, "scores do not descend"),
        (used_padding, none_is_found, "labels past num_detections are not -1"),
        (found_one, none_is_found, "no detection in any photo, image 0: PyTorch finds 0 objects"),
        (fewer_found, few_are_asked_for, "more objects than are asked for"),
        (next_label, classes_suppress_each_other, "suppression across classes"),
        (next_label, is_black, "black, white and noise"),
        (next_label, is_whole_batch, "photos at batch 7"),
        (next_label, is_beyond_all_batches, "a batch beyond those promised"),
        (next_label, nothing_is_suppressed, "all that is found, by class"),
    ],
)
def test_gate_catches(
    detector: tuple[Model, list[np.ndarray]],
    change: Change,
    where: Callable[[Feeds], bool],
    words: str,
) -> None:
    model, photos = detector
    with pytest.raises(ParityError, match=words) as caught:
        check_parity("detection", model, changed(model, change, where), photos, FP32)
    assert caught.value.feeds is not None
    assert where(caught.value.feeds)


def test_candidate_that_fails_is_no_crash(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector

    def run(feeds: Feeds) -> Outputs:
        raise RuntimeError("no kernel\nfor this node")

    with pytest.raises(ParityError, match=r"the candidate gives no answer: no kernel$"):
        check_parity("detection", model, Model("the candidate", run), photos, FP32)


def test_low_precision_may_lose_some_detections_and_no_more(
    detector: tuple[Model, list[np.ndarray]],
) -> None:
    model, photos = detector
    parity = check_parity("detection", model, changed(model, moved_away, anywhere), photos, INT8)
    assert INT8.matched < parity.agreeing < 1
    with pytest.raises(ParityError, match=r"of the answers agree, but 90% must; the worst: "):
        check_parity("detection", model, changed(model, next_label, anywhere), photos, INT8)


def test_a_share_that_fails_is_not_rounded_to_one_that_passes(
    classifier: tuple[Model, list[np.ndarray]],
) -> None:
    model, photos = classifier
    gate = Gate(model, model, TOLERANCES["fp16"])
    right, wrong = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    case = Case("a photo", photos[0][None])
    gate.compare_probabilities(Answers(case, {}, [right], [wrong]), 0)
    gate.tally.compared += 95  # 95 of 96 is 98.96 %
    with pytest.raises(ParityError, match=r"^98\.9% of the answers agree, but 99% must; the worst"):
        gate.decide()


def moved_away(outputs: Outputs) -> None:
    outputs[1][0, : outputs[0][0]][:1] += 30.0


def test_detector_that_finds_nothing_is_no_proof(
    detector: tuple[Model, list[np.ndarray]],
) -> None:
    model, photos = detector

    def run(feeds: Feeds) -> Outputs:
        return model.run({**feeds, "score_threshold": np.array(1, np.float32)})

    blind = Model("blind", run)
    with pytest.raises(ParityError, match="nothing to compare"):
        check_parity("detection", blind, blind, photos[:1], FP32)


def test_classifier_passes_against_itself(classifier: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = classifier
    parity = check_parity("classification", model, model, photos, FP32)
    assert [case.name for case in parity.cases] == KINDS[:7]
    assert (parity.max_score_difference, parity.detections_compared) == (0, None)


def swapped_best(outputs: Outputs) -> None:
    for row in outputs[0]:
        first, second = np.argsort(row)[[-1, -2]]
        row[[first, second]] = row[[second, first]]


def not_a_number(outputs: Outputs) -> None:
    outputs[0][0, outputs[0][0].argmax()] = np.nan


def a_little_more(outputs: Outputs) -> None:
    outputs[0] += 2e-4


@pytest.mark.parametrize("change", [swapped_best, not_a_number, a_little_more])
def test_gate_catches_a_classifier_that(
    classifier: tuple[Model, list[np.ndarray]], change: Change
) -> None:
    model, photos = classifier
    with pytest.raises(ParityError, match="probabilities differ"):
        check_parity("classification", model, changed(model, change, anywhere), photos, FP32)
