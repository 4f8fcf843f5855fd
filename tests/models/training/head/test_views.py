"""What is classified: whole photos, boxes with their surroundings, windows beside all objects."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.boxes import box_iou
from models.datasets.content import Annotations, ClassFolders, LabelledPhoto, Object, Photo
from models.training.head import views
from models.training.head.linear import BACKGROUND, FOLDS
from models.training.head.views import (
    BACKGROUND_IOU,
    View,
    background_of,
    boxes_of,
    pixels_of,
    whole_photos,
)
from models.variants import VARIANTS, at_size
from service.imaging.files import read_photo
from service.imaging.regions import warped

SPEC = at_size(VARIANTS["efficientnet_lite0"], 64).input
LEFT, MIDDLE = (0.0, 0.0, 60.0, 100.0), (60.0, 20.0, 140.0, 80.0)


def annotations(*objects: Object, photos: int = 1) -> Annotations:
    rows = tuple(Photo(i, Path(f"{i}.png"), 200, 100, objects) for i in range(photos))
    return Annotations(rows, ((1, "cat"), (2, "dog")))


def test_each_class_is_in_every_fold() -> None:
    photos = tuple(LabelledPhoto(Path(f"{i}.jpg"), i % 2) for i in range(2 * FOLDS))
    dealt = whole_photos(ClassFolders(photos, ((0, "a"), (1, "b"))))
    assert {(view.label, view.fold) for view in dealt} == {
        (label, fold) for label in range(2) for fold in range(FOLDS)
    }
    assert all(view.box is None for view in dealt)


def test_boxes_are_clipped_and_those_of_a_photo_are_left_out_together() -> None:
    beyond = Object(1, (150.0, 50.0, 201.0, 100.0))
    ignored = Object(0, LEFT, ignored=True)
    found = boxes_of(annotations(Object(0, MIDDLE), beyond, ignored, photos=7))
    assert [view.box for view in found[:2]] == [MIDDLE, (150.0, 50.0, 200, 100.0)]
    assert [view.label for view in found] == [0, 1] * 7
    assert [view.fold for view in found[::2]] == [0, 1, 2, 3, 4, 0, 1]


def test_background_overlaps_no_object() -> None:
    content = annotations(Object(0, MIDDLE), Object(1, LEFT, ignored=True), photos=3)
    found = background_of(content, 20, seed=0)
    assert 40 < len(found) <= 60
    windows = torch.tensor([view.box for view in found])
    assert (box_iou(windows, torch.tensor([MIDDLE, LEFT])) < BACKGROUND_IOU).all()
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, 2:] <= torch.tensor([200, 100])).all()
    assert {view.label for view in found} == {BACKGROUND}
    assert found == background_of(content, 20, seed=0)
    assert found != background_of(content, 20, seed=1)


def test_a_photo_without_room_for_background_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "BACKGROUND_IOU", 0.0)  # which any window reaches
    assert background_of(annotations(Object(0, MIDDLE)), 3, seed=0) == []


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A photo of 200 x 100 pixels, red on the left and blue on the right."""
    image = Image.new("RGB", (200, 100), (255, 0, 0))
    image.paste((0, 0, 255), (100, 0, 200, 100))
    image.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def test_a_box_is_stretched_with_its_surroundings(halves: Path) -> None:
    spec = warped(SPEC)
    inside, across, edge = (100.0, 0.0, 200.0, 100.0), MIDDLE, (0.0, 0.0, 40.0, 100.0)
    parts = [View(halves, 0, 0, box) for box in (inside, across, edge)]
    first, second, third = pixels_of(parts, spec)
    assert first.shape == (64, 64, 3)
    # its surroundings on the left, 8.2 of 108.2 pixels, are red; beyond the photo there is nothing
    assert [int(value) for value in first[32, 1]] == [255, 0, 0]
    assert [int(value) for value in first[32, 8]] == [0, 0, 255]
    assert (second[:, :30] == (255, 0, 0)).all()
    assert (second[:, 34:] == (0, 0, 255)).all()
    assert (third == (255, 0, 0)).all()


def test_a_whole_photo_is_resized_as_it_is_served(photos: Path) -> None:
    files = sorted(photos.glob("*.jpg"))[:3]
    whole = [View(file, 0, 0) for file in files]
    for path, pixels in zip(files, pixels_of(whole, SPEC), strict=True):
        np.testing.assert_array_equal(pixels, read_photo(path, SPEC).pixels)
