"""An owner's results, read from the files that tools write."""

import json
from pathlib import Path

import numpy as np
import pytest

from export.proof.answers import ProofError
from export.proof.results import read_results
from service.manifest import Label

LABELS = (Label(id=1, name="cat"), Label(id=18, name="dog"))
PHOTOS = [Path("photos/a.jpg"), Path("photos/b.jpg"), Path("photos/c.jpg")]
ROW = {"category_id": 18, "bbox": [10, 20, 30, 40], "score": 0.5}


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "image", ["a.jpg", "a", "val/a.jpg", "/home/me/photos/a.jpg", "C:\\data\\photos\\a.jpg"]
)
def test_cocos_results_name_photos_by_their_files(tmp_path: Path, image: str) -> None:
    path = write(tmp_path, "results.json", [{**ROW, "image_id": image}])
    owner = read_results(path, "detection", LABELS, PHOTOS)
    assert (owner.source, owner.photos) == ("user_results", (PHOTOS[0],))
    [answer] = owner.answers
    assert answer.boxes.tolist() == [[10, 20, 40, 60]]
    assert answer.labels.tolist() == [18]


def test_photos_may_come_in_another_order_and_some_be_missing(tmp_path: Path) -> None:
    rows = [{**ROW, "image_id": "c.jpg"}, {**ROW, "image_id": "a.jpg", "score": 0.25}]
    owner = read_results(write(tmp_path, "r.json", rows), "detection", LABELS, PHOTOS)
    assert owner.photos == (PHOTOS[0], PHOTOS[2])
    assert [answer.scores.tolist() for answer in owner.answers] == [[0.25], [0.5]]


def test_photos_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    photos = [Path("photos/cat/1.jpg"), Path("photos/dog/1.jpg")]
    rows = [{**ROW, "image_id": "dog/1.jpg"}, {**ROW, "image_id": "cat/1.jpg", "score": 0.25}]
    owner = read_results(write(tmp_path, "r.json", rows), "detection", LABELS, photos)
    assert [answer.scores.tolist() for answer in owner.answers] == [[0.25], [0.5]]
    one = read_results(write(tmp_path, "r.json", rows[:1]), "detection", LABELS, photos)
    assert one.photos == (photos[1],)
    with pytest.raises(ProofError, match=r"1 may be photos/cat/1\.jpg or photos/dog/1\.jpg"):
        read_results(
            write(tmp_path, "r.json", [{**ROW, "image_id": 1}]), "detection", LABELS, photos
        )


def test_cocos_padded_numbers_and_values_as_texts_are_read(tmp_path: Path) -> None:
    texts = {"category_id": "18", "bbox": ["10", "20", "30", "40"], "score": "0.5"}
    path = write(tmp_path, "r.json", [{**texts, "image_id": 139}])
    photos = [Path("val2017/000000000139.jpg"), Path("val2017/000000000285.jpg")]
    [answer] = read_results(path, "detection", LABELS, photos).answers
    assert answer.boxes.tolist() == [[10, 20, 40, 60]]
    assert (answer.scores.tolist(), answer.labels.tolist()) == ([0.5], [18])


def test_numbers_of_photos_are_those_of_the_annotations(tmp_path: Path) -> None:
    images = {"images": [{"id": 7, "file_name": "b.jpg"}]}
    annotations = write(tmp_path, "instances.json", images)
    path = write(tmp_path, "results.json", [{**ROW, "image_id": 7}])
    assert read_results(path, "detection", LABELS, PHOTOS, annotations).photos == (PHOTOS[1],)
    with pytest.raises(ProofError, match=r"is of none of the 3 photos.*need --annotations"):
        read_results(path, "detection", LABELS, PHOTOS)


def test_a_file_with_its_images_tells_of_photos_without_a_detection(tmp_path: Path) -> None:
    images = [{"id": 0, "file_name": "a.jpg"}, {"id": 1, "file_name": "c.jpg"}]
    content = {"images": images, "annotations": [{**ROW, "image_id": 0}], "categories": []}
    owner = read_results(write(tmp_path, "coco.json", content), "detection", LABELS, PHOTOS)
    assert owner.photos == (PHOTOS[0], PHOTOS[2])
    assert [len(answer) for answer in owner.answers] == [1, 0]


def test_a_classifiers_probabilities_stand_in_csv_or_json(tmp_path: Path) -> None:
    table = write(tmp_path, "p.csv", "file,cat,dog\na.jpg,0.25,0.75\nb,0.5,\n")
    owner = read_results(table, "classification", LABELS, PHOTOS)
    assert owner.photos == tuple(PHOTOS[:2])
    np.testing.assert_array_equal(owner.answers, [[0.25, 0.75], [0.5, np.nan]])
    content = {"a.jpg": {"dog": 0.75, "cat": 0.25}, "b.jpg": [0.5, 0.5]}
    owner = read_results(write(tmp_path, "p.json", content), "classification", LABELS, PHOTOS)
    np.testing.assert_array_equal(owner.answers, [[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", "no json", "is neither COCO's results nor answers by photo"),
        ("x.json", [{"image_id": "a", "score": 1}], "'bbox'"),
        ("x.json", {"a.jpg": [0.5]}, "a.jpg: a detector's answer is a dictionary"),
        ("x.json", [{**ROW, "image_id": "z"}], "is of none of the 3 photos, such as a.jpg"),
        ("x.json", [], r"x\.json: holds no results"),
        ("x.json", [{**ROW, "image_id": "a", "bbox": [1, 2, 3, "x"]}], "neither COCO's results"),
        ("x.csv", "cat,dog\n1,2", "a CSV's header names 'file' and the labels"),
    ],
    ids=[
        "no JSON",
        "no box",
        "a classifier's",
        "other photos",
        "empty",
        "a box of words",
        "no header",
    ],
)
def test_what_is_no_result_is_refused(
    tmp_path: Path, name: str, content: object, words: str
) -> None:
    with pytest.raises(ProofError, match=words):
        read_results(write(tmp_path, name, content), "detection", LABELS, PHOTOS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match=r"nothing\.json: No such file"):
        read_results(tmp_path / "nothing.json", "detection", LABELS, PHOTOS)
