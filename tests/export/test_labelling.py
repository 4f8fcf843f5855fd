"""Photos labelled by the detectors that ship with the service."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from export.labelling import LabellingError, Teacher, find_photos_to_label, label_photos
from models.training.pseudo_labels import read_pseudo_labels
from service.imaging.files import PhotoError

CATEGORIES = ((1, "person"), (2, "cat"), (3, "tv"))


@pytest.fixture(scope="session")
def packages(store: Path) -> list[Path]:
    return [store / f"{name}_lite0_voc" / "1" for name in ("efficientdet", "retinanet")]


@pytest.fixture
def pictures(photos: Path, tmp_path: Path) -> list[Path]:
    """The cat, and the cat mirrored."""
    cat = Image.open(photos / "cat.jpg").convert("RGB")
    paths = [tmp_path / name for name in ("cat.png", "mirrored.png")]
    for path, picture in zip(paths, (cat, ImageOps.mirror(cat)), strict=True):
        picture.save(path)
    return paths


def boxes(file: Path, image: int) -> list[dict[str, Any]]:
    rows = json.loads(file.read_text())["annotations"]
    return [row for row in rows if row["image_id"] == image]


def test_a_mirrored_photo_has_mirrored_labels(
    packages: Sequence[Path], pictures: Sequence[Path], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "labels.json"
    count = label_photos(packages, pictures, file)
    content = json.loads(file.read_text())
    assert len(content["annotations"]) == count > 0
    assert [row["id"] for row in content["annotations"]] == list(range(1, count + 1))
    width = content["images"][0]["width"]
    plain, mirrored = (boxes(file, image) for image in (1, 2))
    for row, other in zip(plain, mirrored, strict=True):
        x, y, w, h = row["bbox"]
        assert other["bbox"] == pytest.approx([width - x - w, y, w, h], abs=0.02)
        assert other["score"] == pytest.approx(row["score"], abs=2e-4)
        assert other["category_id"] == row["category_id"]
    names = {row["id"]: row["name"] for row in content["categories"]}
    best = max(plain, key=lambda row: row["score"])
    assert names[best["category_id"]] == "cat"
    assert best["score"] > 0.5
    labels = read_pseudo_labels(file, CATEGORIES)
    assert labels.taught == {0, 1, 2}
    assert [x.label for x in labels.of(pictures[0]) or () if x.score > 0.5] == [1]


def test_labelling_goes_on_where_it_was_interrupted(
    packages: Sequence[Path],
    pictures: Sequence[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.labelling.available_cpus", lambda: 1)
    file, damaged = tmp_path / "labels.json", tmp_path / "damaged.png"
    damaged.write_bytes(pictures[0].read_bytes()[:99])
    with pytest.raises(PhotoError, match=r"damaged\.png"):
        label_photos(packages[:1], [pictures[0], damaged], file)
    before = boxes(file, 1)
    assert before
    seen: list[Path] = []
    label = Teacher.label
    monkeypatch.setattr(Teacher, "label", lambda self, p: seen.append(p) or label(self, p))
    label_photos(packages[:1], pictures, file)
    assert seen == pictures[1:]
    assert boxes(file, 1) == before
    assert boxes(file, 2)


def test_a_file_of_others_is_left_alone(packages: Sequence[Path], tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    label_photos(packages[:1], [], file)
    before = file.read_bytes()
    with pytest.raises(LabellingError, match="holds what other packages found"):
        label_photos(packages, [], file)
    assert file.read_bytes() == before
    for content in ("no JSON", "[]", "{}"):
        file.write_text(content)
        with pytest.raises(LabellingError, match="is not of this command"):
            label_photos(packages, [], file)
        assert file.read_text() == content


def test_a_classifier_teaches_no_boxes(store: Path) -> None:
    with pytest.raises(LabellingError, match="is a classifier"):
        Teacher([store / "efficientnet_lite0_imagenet" / "1"])


def test_photos_are_those_of_a_folder_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.jpg", "deep/a.png", "notes.txt"):
        (tmp_path / name).touch()
    paths = [tmp_path / "b.jpg", tmp_path / "deep" / "a.png"]
    assert find_photos_to_label(tmp_path) == paths
    (tmp_path / "notes.txt").write_text("\n".join(map(str, reversed(paths))))
    assert find_photos_to_label(tmp_path / "notes.txt") == paths[::-1]
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(PhotoError, match="names no photo"):
        find_photos_to_label(tmp_path / "notes.txt")
    with pytest.raises(PhotoError, match="neither a folder nor a list"):
        find_photos_to_label(tmp_path / "missing")
