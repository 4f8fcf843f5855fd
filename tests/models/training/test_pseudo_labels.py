"""What a teacher finds, beside what photos are annotated with."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.datasets.content import Annotations, DataError, Object, Photo
from models.training.pseudo_labels import add_pseudo_labels, class_key, join, read_pseudo_labels

CATEGORIES = ((1, "sofa"), (2, "potted plant"), (5, "cat"))
SOFA, PLANT, CAT = range(3)


def photo(*objects: Object) -> Photo:
    return Photo(3, Path("photos/a.jpg"), 200, 100, objects)


def found(label: int, left: float, score: float) -> Object:
    """A box 50 pixels wide, from ``left`` on."""
    return Object(label, (left, 10.0, left + 50, 60.0), score=score)


def rows(result: Photo) -> list[tuple[int, float, bool, float]]:
    """Label, left, whether it is ignored, and score."""
    return [
        (thing.label, thing.box[0], thing.ignored, pytest.approx(thing.score))
        for thing in result.objects
    ]


def test_the_sure_are_learned_and_the_unsure_are_not_punished() -> None:
    taught = join(photo(), [found(CAT, 0, 0.5), found(CAT, 60, 0.49), found(SOFA, 0, 0.15)])
    assert rows(taught) == [(CAT, 0, False, 1), (CAT, 60, True, 0.49), (SOFA, 0, True, 0.15)]
    assert taught.targets.tolist() == [[CAT, 1], [CAT, 0], [SOFA, 0]]


def test_annotated_boxes_win() -> None:
    """Shifted by 10 of 50 pixels boxes overlap by 2/3, by 25 of 50 by 1/3."""
    cat = Object(CAT, (0.0, 10.0, 50.0, 60.0))
    again, elsewhere, other = found(CAT, 10, 0.9), found(CAT, 25, 0.9), found(SOFA, 10, 0.9)
    assert rows(join(photo(cat), [again])) == [(CAT, 0, False, 1)]
    assert rows(join(photo(cat), [elsewhere])) == [(CAT, 0, False, 1), (CAT, 25, False, 1)]
    assert rows(join(photo(cat), [other])) == [(CAT, 0, False, 1), (SOFA, 10, True, 0.9)]


def test_what_is_ignored_stays_so() -> None:
    crowd = Object(CAT, (0.0, 10.0, 50.0, 60.0), ignored=True)
    assert rows(join(photo(crowd), [], 0.5)) == [(CAT, 0, True, 1)]
    assert rows(join(photo(crowd), [found(CAT, 0, 0.8)])) == [(CAT, 0, True, 1), (CAT, 0, False, 1)]


def test_targets_follow_the_teacher() -> None:
    """By 1 - d + d q; of an annotated object q = score^.4 IoU^.6 of the best, in float64."""
    seen, unseen = Object(CAT, (0.0, 10.0, 50.0, 60.0)), Object(SOFA, (120.0, 10.0, 170.0, 60.0))
    teacher = [found(CAT, 10, 0.9), found(CAT, 5, 0.3), found(PLANT, 120, 0.7), found(CAT, 60, 0.6)]
    qualities = [0.9**0.4 * (40 / 60) ** 0.6, 0.3**0.4 * (45 / 55) ** 0.6]
    taught = join(photo(seen, unseen), teacher, 0.25)
    assert rows(taught) == [
        (CAT, 0, False, 0.75 + 0.25 * max(qualities)),
        (SOFA, 120, False, 0.75),
        (PLANT, 120, True, 0.7),
        (CAT, 60, False, 0.75 + 0.25 * 0.6),
    ]


def test_a_class_that_the_teacher_does_not_know_is_learned_as_it_is() -> None:
    cat, sofa = Object(CAT, (0.0, 10.0, 50.0, 60.0)), Object(SOFA, (120.0, 10.0, 170.0, 60.0))
    taught = join(photo(cat, sofa), [], 0.25, {SOFA})
    assert rows(taught) == [(CAT, 0, False, 1), (SOFA, 120, False, 0.75)]


@pytest.mark.parametrize(
    ("of_voc", "of_coco"),
    [
        ("aeroplane", "airplane"),
        ("motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("tvmonitor", "tv"),
        ("diningtable", "dining table"),
        ("pottedplant", "potted plant"),
        ("Cat", "cat"),
    ],
)
def test_classes_are_known_by_their_names_in_voc_and_coco(of_voc: str, of_coco: str) -> None:
    assert class_key(of_voc) == class_key(of_coco)


def content(name: str) -> dict[str, Any]:
    """A teacher's file: three boxes in one photo, of which one is of no class of ours."""
    return {
        "images": [{"id": 7, "file_name": name}, {"id": 9, "file_name": "photos/b.jpg"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.7},
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.14},
            {"image_id": 7, "category_id": 4, "bbox": [1, 2, 30, 40], "score": 0.9},
        ],
        "categories": [{"id": 3, "name": "couch"}, {"id": 4, "name": "bus"}],
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


@pytest.mark.parametrize("name", ["a.jpg", "photos/a.jpg"])
def test_a_file_names_photos_by_the_end_of_their_path(file: Path, name: str) -> None:
    file.write_text(json.dumps(content(name)))
    taught = add_pseudo_labels(Annotations((photo(),), CATEGORIES), file)
    (sofa,) = taught.photos[0].objects
    assert (sofa.label, sofa.box, sofa.score) == (SOFA, (1, 2, 31, 42), 1)
    assert read_pseudo_labels(file, CATEGORIES).taught == {SOFA}


def test_a_photo_that_the_teacher_has_not_seen_is_named(file: Path) -> None:
    file.write_text(json.dumps(content("other/a.jpg")))
    with pytest.raises(DataError, match=r"does not say what a teacher finds in photos/a\.jpg"):
        add_pseudo_labels(Annotations((photo(),), CATEGORIES), file)


@pytest.mark.parametrize(
    "change",
    [
        {"images": None},
        {"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3], "score": 1}]},
        {"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, "4"], "score": 1}]},
        {"annotations": [{"image_id": 8, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 1}]},
        {"categories": [{"id": 3, "name": 3}]},
    ],
    ids=["no images", "no score", "three numbers", "a text", "unknown image", "name of a number"],
)
def test_a_file_of_another_kind_is_refused(file: Path, change: dict[str, Any]) -> None:
    file.write_text(json.dumps({**content("a.jpg"), **change}))
    with pytest.raises(DataError, match="is not a COCO file of boxes with scores"):
        read_pseudo_labels(file, CATEGORIES)
