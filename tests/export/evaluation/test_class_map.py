"""Annotations whose classes are called otherwise than the model's labels."""

import json
from pathlib import Path

import pytest
from PIL import Image

from export.evaluation.class_map import ClassMapError, read_class_map
from export.evaluation.photo_set import EvaluationSet
from service.manifest import Label

LABELS = (Label(id=5, name="airplane"), Label(id=72, name="tv"))


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """A photo with an aeroplane, a tv and a boat, of which the model knows the first two."""
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    names = ("aeroplane", "tv", "boat")
    content = {
        "images": [{"id": 1, "file_name": "photo.png", "width": 50, "height": 40}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": i, "bbox": [i, 1, 9, 9], "area": 81}
            for i in (1, 2, 3)
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_categories_become_the_labels_that_they_stand_for(annotations: Path) -> None:
    given = EvaluationSet(annotations.parent, annotations, {"aeroplane": "airplane"})
    objects = given.read(LABELS).objects
    assert objects is not None
    assert objects["categories"] == [{"id": 5, "name": "airplane"}, {"id": 72, "name": "tv"}]
    rows = [(row["category_id"], row["bbox"][0]) for row in objects["annotations"]]
    assert rows == [(5, 1), (72, 2)]


@pytest.mark.parametrize(
    ("class_map", "words"),
    [({"zebra": "tv"}, "no category 'zebra'"), ({"boat": "ship"}, "the model has no label 'ship'")],
)
def test_class_map_names_what_is_there(
    annotations: Path, class_map: dict[str, str], words: str
) -> None:
    with pytest.raises(ClassMapError, match=words):
        EvaluationSet(annotations.parent, annotations, class_map).read(LABELS)


@pytest.mark.parametrize("text", ["boat: ship\n", '{"boat": "ship"}'], ids=["yaml", "json"])
def test_class_map_is_read(text: str, tmp_path: Path) -> None:
    (path := tmp_path / "map").write_text(text)
    assert read_class_map(path) == {"boat": "ship"}


@pytest.mark.parametrize(
    ("text", "words"), [("[boat]", "must hold names"), ("{", "neither JSON nor YAML")]
)
def test_class_map_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (path := tmp_path / "map").write_text(text)
    with pytest.raises(ClassMapError, match=words):
        read_class_map(path)
    with pytest.raises(ClassMapError, match="No such file"):
        read_class_map(tmp_path / "missing")
