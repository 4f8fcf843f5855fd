"""The gate lets through what is the same, and nothing else."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from export.graph import build_graph
from export.parity import (
    TOLERANCES,
    Case,
    Feeds,
    Model,
    Outputs,
    ParityError,
    compare_classifiers,
    compare_detectors,
    onnx_model,
    torch_model,
)
from export.parity.cases import detector_cases, fitted, image_cases, photo_cases, shaped_photos
from export.parity.comparison import Detections, Tally, box_iou, compare_detections
from export.photos import read_photos
from models.variants import VARIANTS, at_size
from service.manifest import InputSpec
from service.package import open_package

from .conftest import make_retinanet

FP32, INT8 = TOLERANCES["fp32"], TOLERANCES["int8"]
CASE = Case("some", np.zeros((1, 8, 8, 3), np.uint8))
KINDS = [
    "photos at batch 1",
    "photos at batch 2",
    "photos at batch 7",
    "objects cut by the photo's border",
    "portrait, landscape, panorama and tiny photos",
    "black, white and noise",
    "flat and tiled images, whose anchors tie",
    "more objects than are asked for",
    "no detection in any photo",
    "photos with and without detections",
    "suppression across classes",
]

Change = Callable[[Outputs], None]


def found(*rows: tuple[float, int, tuple[float, ...]]) -> Detections:
    """Detections of rows (score, label, box)."""
    scores, labels, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
    )


ONE = (0.8, 1, (10.0, 10.0, 50.0, 50.0))
RIVAL = (0.8, 1, (15.0, 10.0, 55.0, 50.0))  # overlaps by .78
OTHER = (0.6, 2, (100.0, 100.0, 150.0, 180.0))


def lost(wanted: Detections, got: Detections, **options: object) -> int:
    tolerance = options.pop("tolerance", FP32)
    return len(compare_detections(wanted, got, CASE, tolerance, Tally(), **options))


def test_same_detections_agree_in_any_order_of_equal_scores() -> None:
    twin = (0.8, 3, OTHER[2])
    tally = Tally()
    assert not len(compare_detections(found(ONE, twin), found(twin, ONE), CASE, FP32, tally))
    assert (tally.compared, tally.score, tally.box, tally.iou, tally.share) == (2, 0, 0, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        (0.8002, 1, ONE[2]),
        (0.8, 2, ONE[2]),
        (0.8, 1, (10.0, 10.0, 50.0, 50.02)),
        (float("nan"), 1, ONE[2]),
        (0.8, 1, (10.0, 10.0, 50.0, float("nan"))),
    ],
    ids=["score", "label", "box", "score that is no number", "box that is no number"],
)
def test_detection_that_differs_is_lost_on_both_sides(other: tuple) -> None:
    assert lost(found(ONE, OTHER), found(other, OTHER)) == 2
    assert lost(found(other, OTHER), found(ONE, OTHER)) == 2


def test_small_box_must_overlap_too() -> None:
    """A hundredth of a pixel is little, but not of a box of a tenth of a pixel in low precision."""
    thin, wide = (0.8, 1, (10.0, 10.0, 10.1, 50.0)), (0.8, 1, (10.0, 10.0, 11.1, 50.0))
    assert lost(found(thin), found(wide), tolerance=INT8) == 2


def test_one_detection_is_the_twin_of_one_only() -> None:
    assert lost(found(ONE, ONE), found(ONE)) == 1
    assert lost(found(ONE), found(ONE, ONE)) == 1


def test_score_on_the_threshold_may_fall_on_either_side() -> None:
    on_it, above_it = (0.05005, 1, ONE[2]), (0.0503, 1, ONE[2])
    assert lost(found(OTHER, on_it), found(OTHER)) == 0
    assert lost(found(OTHER, above_it), found(OTHER)) == 1


def test_last_place_may_go_to_either_of_equal_scores() -> None:
    case = replace(CASE, max_detections=2)
    last, other = (0.3, 1, ONE[2]), (0.30005, 2, ONE[2])
    pair = found(OTHER, last), found(OTHER, other)
    assert not len(compare_detections(*pair, case, FP32, Tally()))
    assert len(compare_detections(*pair, CASE, FP32, Tally())) == 2  # there was room for both


def test_either_of_two_rivals_with_one_score_may_win() -> None:
    both = found(ONE, RIVAL)
    tally = Tally()
    result = compare_detections(found(ONE), found(RIVAL), CASE, FP32, tally, lambda: (both, both))
    assert (len(result), tally.tied) == (0, 2)


def test_what_the_losing_rival_would_have_suppressed_is_explained_too() -> None:
    third = (0.7, 1, (25.0, 10.0, 65.0, 50.0))  # overlaps RIVAL by .6, ONE by .45
    all_three = found(ONE, RIVAL, third)
    everything = {"candidates": lambda: (all_three, all_three)}
    assert lost(found(ONE, third), found(RIVAL), **everything) == 0
    assert lost(found(ONE, third), found(ONE), **everything) == 1


@pytest.mark.parametrize(
    ("first", "second", "of_first", "of_second"),
    [
        (found(ONE), found(RIVAL), found(ONE), found(RIVAL)),
        (found(ONE), found(RIVAL), found(ONE, RIVAL), found(RIVAL)),
        (found(ONE), found(RIVAL), found(ONE), found(ONE, RIVAL)),
        (found(ONE), found((0.7, *RIVAL[1:])), *[found(ONE, (0.7, *RIVAL[1:]))] * 2),
        (found(ONE), found((0.8, 2, RIVAL[2])), *[found(ONE, (0.8, 2, RIVAL[2]))] * 2),
        (found(ONE), found((0.8, 1, OTHER[2])), *[found(ONE, (0.8, 1, OTHER[2]))] * 2),
    ],
    ids=[
        "a box that moved",
        "one side never had the other's",
        "the other never had this one's",
        "scores that differ",
        "other labels",
        "boxes apart",
    ],
)
def test_no_tie_is_believed_between(
    first: Detections, second: Detections, of_first: Detections, of_second: Detections
) -> None:
    assert lost(first, second, candidates=lambda: (of_first, of_second)) == 2


def test_rivals_of_other_labels_tie_where_classes_suppress_each_other() -> None:
    rival = (0.8, 2, RIVAL[2])
    both = found(ONE, rival)
    case = replace(CASE, class_agnostic=True)
    one, other = found(ONE), found(rival)
    assert not len(compare_detections(one, other, case, FP32, Tally(), lambda: (both, both)))


def test_overlap_counts_the_last_pixels_in() -> None:
    boxes = np.array([[0, 0, 9, 9], [5, 0, 14, 9], [30, 5, 30, 5]], np.float32)
    np.testing.assert_allclose(
        box_iou(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]], atol=1e-12
    )


@pytest.fixture(scope="module")
def detector(photos: Path) -> tuple[Model, list[np.ndarray]]:
    """An untrained RetinaNet at 64 pixels, which finds much, and its photos."""
    variant = at_size(VARIANTS["retinanet_resnet18_fpn"], 64)
    pixels = [p.pixels for p in read_photos(photos, InputSpec(**asdict(variant.input)))]
    model = torch_model(build_graph(make_retinanet(variant, photos), variant.input))
    return remembering(model), pixels


def remembering(model: Model) -> Model:
    """``model``, which runs once on the same feeds: every test below has the same."""
    answers: dict[tuple[bytes, ...], Outputs] = {}

    def run(feeds: Feeds) -> Outputs:
        key = tuple(value.tobytes() for value in feeds.values())
        if key not in answers:
            answers[key] = model.run(feeds)
        return answers[key]

    return Model(model.name, run)


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


def test_gate_says_what_it_compared(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector
    progress: list[tuple[int, int]] = []
    parity = compare_detectors(
        model, model, photos, FP32, lambda done, total: progress.append((done, total))
    )
    assert (parity.reference, parity.images, parity.batch_sizes) == ("PyTorch", 7, (1, 2, 7))
    assert [case.name for case in parity.cases] == KINDS
    found_in = {case.name: case.detections for case in parity.cases}
    assert found_in["no detection in any photo"] == 0
    assert found_in["more objects than are asked for"] == 6  # three of each of two photos
    assert all(n > 0 for name, n in found_in.items() if name != "no detection in any photo")
    assert parity.detections_compared == sum(found_in.values())
    assert (parity.max_score_difference, parity.max_box_difference_px, parity.min_iou) == (0, 0, 1)
    assert (parity.agreeing, parity.tied, parity.tolerance) == (1, 0, FP32)
    assert progress == [(i, 20) for i in range(20)]


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        (next_label, anywhere, "photos at batch 1, from photo 0, image 0: PyTorch finds"),
        (moved_box, anywhere, "agree with none of the other side"),
        (no_number, anywhere, "agree with none of the other side"),
        (fewer_rows, anywhere, "have the shapes"),
        (wrong_order, anywhere, "scores do not descend"),
        (used_padding, none_is_found, "rows past num_detections are not padding"),
        (found_one, none_is_found, "no detection in any photo, image 0: PyTorch finds 0 objects"),
        (fewer_found, few_are_asked_for, "more objects than are asked for"),
        (next_label, classes_suppress_each_other, "suppression across classes"),
        (next_label, is_black, "black, white and noise"),
        (next_label, is_whole_batch, "photos at batch 7"),
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
        compare_detectors(model, changed(model, change, where), photos, FP32)
    assert caught.value.feeds is not None
    assert where(caught.value.feeds)


def test_candidate_that_fails_is_no_crash(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector

    def run(feeds: Feeds) -> Outputs:
        raise RuntimeError("no kernel\nfor this node")

    with pytest.raises(ParityError, match=r"the candidate gives no answer: no kernel$"):
        compare_detectors(model, Model("the candidate", run), photos, FP32)


def test_low_precision_may_lose_some_detections_and_no_more(
    detector: tuple[Model, list[np.ndarray]],
) -> None:
    model, photos = detector
    parity = compare_detectors(model, changed(model, moved_away, anywhere), photos, INT8)
    assert INT8.twins < parity.agreeing < 1
    with pytest.raises(ParityError, match=r"of the answers agree, of 90% that must; the worst: "):
        compare_detectors(model, changed(model, next_label, anywhere), photos, INT8)


def moved_away(outputs: Outputs) -> None:
    outputs[1][0, 0] += 30.0


def test_detector_that_finds_nothing_is_no_proof(
    detector: tuple[Model, list[np.ndarray]],
) -> None:
    model, photos = detector

    def run(feeds: Feeds) -> Outputs:
        return model.run({**feeds, "score_threshold": np.array(1, np.float32)})

    blind = Model("blind", run)
    with pytest.raises(ParityError, match="nothing to compare"):
        compare_detectors(blind, blind, photos[:1], FP32)


@pytest.fixture(scope="module")
def classifier(store: Path, photos: Path) -> tuple[Model, list[np.ndarray]]:
    package = open_package(store / "efficientnet_lite0_imagenet" / "1")
    return remembering(onnx_model(package.session)), [
        photo.pixels for photo in read_photos(photos, package.manifest.input)
    ]


def test_classifier_passes_against_itself(classifier: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = classifier
    parity = compare_classifiers(model, model, photos, FP32)
    assert [case.name for case in parity.cases] == KINDS[:6]
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
        compare_classifiers(model, changed(model, change, anywhere), photos, FP32)


def test_every_photo_runs_at_every_batch_size() -> None:
    photos = [np.full((4, 4, 3), i, np.uint8) for i in range(3)]
    cases = [(str(case), case.images[:, 0, 0, 0].tolist()) for case in photo_cases(photos)]
    assert cases == [
        ("photos at batch 1, from photo 0", [0]),
        ("photos at batch 1, from photo 1", [1]),
        ("photos at batch 1, from photo 2", [2]),
        ("photos at batch 2, from photo 0", [0, 1]),
        ("photos at batch 2, from photo 2", [2, 0]),
        ("photos at batch 7, from photo 0", [0, 1, 2, 0, 1, 2, 0]),
    ]


def test_cases_are_the_same_at_every_export(detector: tuple[Model, list[np.ndarray]]) -> None:
    model, photos = detector
    first, second = ([*image_cases(photos), *detector_cases(model, photos)] for _ in range(2))
    for case, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(case.images, again.images)
        assert case.score_threshold == again.score_threshold


def test_photos_of_all_shapes_fill_one_canvas(detector: tuple[Model, list[np.ndarray]]) -> None:
    photos = detector[1]
    shaped = shaped_photos(photos)
    assert {image.shape for image in shaped} == {photos[0].shape}
    height, width = photos[0].shape[:2]
    portrait, _, panorama, _ = shaped
    assert (portrait[:, width // 2 :] == 128).all()
    assert (panorama[height // 2 :] == 128).all()
    assert portrait[:, : width // 4].std() > 10
    assert panorama[: height // 8].std() > 10


def test_photo_of_the_canvas_size_is_fitted_as_it_is() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fitted(photo, photo), photo)
