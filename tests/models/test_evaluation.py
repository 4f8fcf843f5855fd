"""What is measured is what one counts by hand, and what pycocotools says."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.evaluation import (
    NOTHING,
    BoxRow,
    evaluate_classifications,
    evaluate_detections,
    match_photo,
)

CAT, DOG, BIRD = 1, 5, 7
NAMES = {CAT: "cat", DOG: "dog", BIRD: "bird"}
Box = tuple[float, float, float, float]
HERE: Box = (10, 10, 40, 40)
THERE: Box = (100, 100, 40, 40)
ELSEWHERE: Box = (200, 10, 40, 40)


def truth(*objects: tuple[int, int, Box], photos: int = 2) -> dict:
    """Annotations with an object for each (photo, class, box)."""
    return {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 300, "height": 200} for i in range(photos)
        ],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "annotations": [
            {"id": i, "image_id": photo, "category_id": category, "bbox": list(box)}
            for i, (photo, category, box) in enumerate(objects)
        ],
    }


TWO_CATS = truth((0, CAT, HERE), (1, CAT, THERE))


def shifted(box: Box, by: float) -> Box:
    return (box[0] + by, *box[1:])


def test_a_perfect_detector_has_an_ap_of_one() -> None:
    rows = [BoxRow(0, CAT, HERE, 0.9), BoxRow(1, CAT, THERE, 0.8)]
    measured = evaluate_detections(TWO_CATS, rows)
    assert measured.ap == measured.ap50 == measured.ap75 == pytest.approx(1)
    assert measured.ar100 == pytest.approx(1)
    assert measured.ap_medium == pytest.approx(1)
    assert (measured.images, measured.objects) == (2, 2)


@pytest.mark.parametrize("area", ["1600", "1600.0", "", "large", None, -1, float("nan"), []])
def test_an_area_that_is_no_number_is_that_of_the_box(area: object) -> None:
    annotations = truth((0, CAT, HERE), (1, CAT, THERE))
    annotations["annotations"][0]["area"] = area
    rows = [BoxRow(0, CAT, HERE, 0.9), BoxRow(1, CAT, THERE, 0.8)]
    assert evaluate_detections(annotations, rows).ap_medium == pytest.approx(1)


def test_half_the_objects_make_half_the_curve() -> None:
    cat = evaluate_detections(TWO_CATS, [BoxRow(0, CAT, HERE, 0.9)]).classes[0]
    assert cat.precision == pytest.approx((1.0,) * 51 + (0.0,) * 50)  # recall 0, .01 ... .50
    assert cat.ap50 == pytest.approx(51 / 101)
    assert cat.scores == pytest.approx((0.9,) * 51 + (0.0,) * 50)


def test_a_false_positive_ahead_halves_precision() -> None:
    rows = [BoxRow(0, CAT, ELSEWHERE, 0.9), BoxRow(0, CAT, HERE, 0.8)]
    cat = evaluate_detections(TWO_CATS, rows).classes[0]
    assert cat.precision == pytest.approx((0.5,) * 51 + (0.0,) * 50)
    assert cat.ap50 == pytest.approx(0.5 * 51 / 101)


def test_a_duplicate_counts_as_false() -> None:
    rows = [
        BoxRow(0, CAT, HERE, 0.9),
        BoxRow(0, CAT, HERE, 0.8),  # again
        BoxRow(1, CAT, THERE, 0.7),
    ]
    cat = evaluate_detections(TWO_CATS, rows).classes[0]
    assert cat.ap50 == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_loose_box_counts_at_low_thresholds_alone() -> None:
    rows = [BoxRow(0, CAT, shifted(HERE, 10), 0.9), BoxRow(1, CAT, shifted(THERE, 10), 0.9)]
    measured = evaluate_detections(TWO_CATS, rows)  # IoU 30 / 50
    assert measured.ap50 == pytest.approx(1)
    assert measured.ap75 == 0
    assert measured.ap == pytest.approx(0.3)  # of ten thresholds .50, .55 and .60


def test_a_class_without_objects_has_no_ap_and_does_not_count() -> None:
    rows = [BoxRow(0, CAT, HERE, 0.9), BoxRow(1, CAT, THERE, 0.8), BoxRow(0, DOG, HERE, 0.9)]
    measured = evaluate_detections(TWO_CATS, rows)
    dog = measured.classes[1]
    assert (dog.name, dog.objects, dog.ap, dog.ap50, dog.precision) == ("dog", 0, None, None, ())
    assert measured.ap50 == pytest.approx(1)
    assert measured.ap_large is None


def test_no_detections_have_an_ap_of_zero() -> None:
    measured = evaluate_detections(TWO_CATS, [])
    assert measured.ap == measured.ap50 == measured.ar100 == 0
    assert measured.classes[0].ap50 == 0
    assert measured.confusion.counts[0] == (0, 0, 0, 2)


def test_without_objects_there_is_nothing_to_measure() -> None:
    rows = [BoxRow(0, CAT, HERE, 0.9)]
    assert evaluate_detections(truth(), rows).ap is None


def test_a_photo_that_the_annotations_do_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="no photo 9"):
        evaluate_detections(TWO_CATS, [BoxRow(9, CAT, HERE, 0.9)])


def test_annotations_are_left_as_they_are() -> None:
    before = json.dumps(TWO_CATS)
    evaluate_detections(TWO_CATS, [BoxRow(0, CAT, HERE, 0.9)])
    assert json.dumps(TWO_CATS) == before


def random_detections() -> tuple[dict, list[BoxRow]]:
    """Thirty photos with six objects each, found more or less well and with some noise."""
    generator = np.random.default_rng(0)
    objects, rows = [], []
    for photo in range(30):
        for _ in range(6):
            left, top = generator.uniform(0, 150, 2)
            box = (left, top, *generator.uniform(10, 120, 2))
            category = int(generator.choice(list(NAMES)))
            objects.append((photo, category, box))
            for _ in range(3):
                moved = tuple(v + generator.normal(0, 4) for v in box)
                guess = category if generator.random() < 0.8 else DOG
                rows.append(BoxRow(photo, guess, moved, float(generator.random())))
    return truth(*objects, photos=30), rows


def test_figures_are_those_of_pycocotools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations, rows = random_detections()
    for i, row in enumerate(annotations["annotations"], start=1):
        row.update(id=i, iscrowd=0, area=row["bbox"][2] * row["bbox"][3])
    (tmp_path / "truth.json").write_text(json.dumps(annotations))
    coco = COCO(str(tmp_path / "truth.json"))
    detections = [{**vars(row), "bbox": list(row.bbox)} for row in rows]
    oracle = COCOeval(coco, coco.loadRes(detections), "bbox")
    oracle.evaluate()
    oracle.accumulate()
    oracle.summarize()
    capsys.readouterr()

    measured = evaluate_detections(annotations, rows)
    e = measured
    figures = (e.ap, e.ap50, e.ap75, e.ap_small, e.ap_medium, e.ap_large)
    assert figures == pytest.approx(tuple(oracle.stats[:6]))
    assert e.ar100 == pytest.approx(oracle.stats[8])
    assert e.ap50 == pytest.approx(np.mean([row.ap50 for row in e.classes]))
    assert e.ap == pytest.approx(np.mean([row.ap for row in e.classes]))
    assert [np.mean(row.precision) for row in e.classes] == pytest.approx(
        [row.ap50 for row in e.classes]
    )
    assert e.images == 30
    assert capsys.readouterr().out == ""


def test_confusion_is_what_one_counts_by_hand() -> None:
    annotations = truth((0, CAT, HERE), (0, DOG, THERE), (1, CAT, HERE), (1, BIRD, THERE))
    rows = [
        BoxRow(0, CAT, HERE, 0.9),  # right
        BoxRow(0, CAT, shifted(HERE, 2), 0.8),  # the same cat again
        BoxRow(0, CAT, THERE, 0.7),  # a dog
        BoxRow(1, DOG, ELSEWHERE, 0.6),  # nothing
        BoxRow(1, CAT, shifted(HERE, 30), 0.5),  # beside the cat
        BoxRow(1, BIRD, THERE, 0.3),  # not above the threshold
    ]
    confusion = evaluate_detections(annotations, rows, score_threshold=0.3).confusion
    assert confusion.names == ("cat", "dog", "bird", NOTHING)
    assert confusion.counts == (
        (1, 0, 0, 1),
        (1, 0, 0, 0),
        (0, 0, 0, 1),
        (2, 1, 0, 0),
    )


def objects_of(annotations: dict) -> list[dict]:
    return annotations["annotations"]


def test_the_better_detection_takes_the_object_whatever_its_class() -> None:
    rows = [BoxRow(0, CAT, HERE, 0.5), BoxRow(0, DOG, HERE, 0.9)]
    match = match_photo(objects_of(truth((0, CAT, HERE))), rows)
    assert [row.category_id for row in match.detections] == [DOG, CAT]
    assert match.found == (0, None)


def test_a_detection_takes_the_object_that_it_overlaps_most() -> None:
    objects = objects_of(truth((0, CAT, shifted(HERE, 8)), (0, DOG, shifted(HERE, 2))))
    assert match_photo(objects, [BoxRow(0, CAT, HERE, 0.9)]).found == (1,)


def test_of_equal_overlaps_the_right_class_wins() -> None:
    objects = objects_of(truth((0, CAT, HERE), (0, DOG, HERE), (0, BIRD, HERE)))
    assert match_photo(objects, [BoxRow(0, DOG, HERE, 0.9)]).found == (1,)


def test_what_lies_in_a_crowd_of_its_class_is_neither_right_nor_wrong() -> None:
    annotations = truth((0, CAT, (0, 0, 150, 150)))
    annotations["annotations"][0]["iscrowd"] = 1
    rows = [BoxRow(0, CAT, HERE, 0.9), BoxRow(0, DOG, HERE, 0.8), BoxRow(0, CAT, ELSEWHERE, 0.7)]
    measured = evaluate_detections(annotations, rows)
    assert measured.objects == 0
    assert measured.confusion.counts == ((0,) * 4, (0,) * 4, (0,) * 4, (1, 1, 0, 0))


def test_classes_that_the_annotations_do_not_know_are_left_out() -> None:
    rows = [BoxRow(0, CAT, HERE, 0.9), BoxRow(0, 99, THERE, 0.9)]
    counts = evaluate_detections(TWO_CATS, rows).confusion.counts
    assert counts == ((1, 0, 0, 1), (0,) * 4, (0,) * 4, (0,) * 4)


def test_answers_among_the_first_and_the_first_five_count() -> None:
    names = [f"class {i}" for i in range(7)]
    falling = [0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02]
    measured = evaluate_classifications(np.array([falling] * 4), [0, 1, 4, 5], names)
    assert (measured.top1, measured.top5, measured.images) == (0.25, 0.75, 4)
    assert measured.confusion.names == tuple(names)
    assert [row[0] for row in measured.confusion.counts] == [1, 1, 0, 0, 1, 1, 0]
    assert sum(map(sum, measured.confusion.counts)) == 4


def test_two_classes_have_a_top_5_of_one() -> None:
    measured = evaluate_classifications(np.array([[0.1, 0.9], [0.2, 0.8]]), [0, 1], ["a", "b"])
    assert (measured.top1, measured.top5) == (0.5, 1.0)
    assert measured.confusion.counts == ((0, 1), (0, 1))


@pytest.mark.parametrize("labels", [[], [0], [0, 1, 1]])
def test_labels_must_fit_the_probabilities(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="of 2 classes"):
        evaluate_classifications(np.full((2, 2), 0.5), labels, ["a", "b"])
