"""Whatever happens to a photo, its boxes stay on its objects."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.augment import Augment
from models.training.augment.geometry import (
    LEAST_VISIBLE,
    SMALLEST_SIDE,
    Loaded,
    Warp,
    visible,
)

# One for each label. Halfway to the grey around them, none is near another.
from tests.models.training.paintings import TOLERANCE, assert_on_objects, extents, gallery, painting


@pytest.mark.parametrize("size", [96, 255, pytest.param(320, marks=pytest.mark.full)])
@pytest.mark.parametrize("colours", [{"colour": 0.0, "hue": 0.0}, {"colour": 0.1, "noise": 5.0}])
@pytest.mark.parametrize("aspect", [0.0, 0.5])
@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("shape", ["ellipse", "rectangle"])
def test_boxes_stay_on_objects(
    shape: str, flip: float, aspect: float, colours: dict[str, float], size: int
) -> None:
    augment = Augment(scale=(0.4, 2.0), flip=flip, aspect=aspect, **colours)
    found = 0
    for seed in range(8):
        view = augment.view(gallery(shape, seed), 0, 4, size, random.Random(seed))
        assert view[0].size == (size, size)
        assert_on_objects(view, shape)
        found += len(view[1])
    assert found >= 5


def test_aspect_stretches_photos_up_to_its_share_either_way() -> None:
    image, boxes, labels = painting([(100, 100, 200, 200)], [4], (300, 300), "rectangle")
    augment = Augment(scale=(0.8, 0.8), colour=0.0, hue=0.0, aspect=0.25)
    ratios = []
    for seed in range(60):
        view, (box,), _ = augment(image, boxes, labels, 300, random.Random(seed))
        width, height = box[2:] - box[:2]
        ratios.append(float(width / height))
        assert width * height == pytest.approx(80**2, rel=0.02)
        torch.testing.assert_close(box, extents(view)[4], atol=TOLERANCE, rtol=0)
    assert 0.79 < min(ratios) < 0.85
    assert 1.18 < max(ratios) < 1.26


@pytest.mark.parametrize("colours", [{"colour": 0.0, "hue": 0.0}, {"colour": 0.1, "noise": 5.0}])
@pytest.mark.parametrize("aspect", [0.0, 0.5])
@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("rotation", [10.0, 180.0])
def test_boxes_stay_on_turned_ellipses(
    rotation: float, flip: float, aspect: float, colours: dict[str, float]
) -> None:
    augment = Augment(scale=(0.4, 2.0), rotation=rotation, flip=flip, aspect=aspect, **colours)
    found = 0
    for seed in range(15):
        view = augment.view(gallery("ellipse", seed), 0, 4, 256, random.Random(seed))
        assert_on_objects(view, "ellipse")
        found += len(view[1])
    assert found >= 10


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [-80.0, -30.0, 5.0, 45.0, 90.0, 135.0])
def test_a_turned_box_is_no_larger_than_the_hull_of_its_corners(
    angle: float, mirrored: bool
) -> None:
    image, boxes, _ = painting([(60, 40, 220, 90)], [4], (300, 200), "rectangle")
    placement = Warp((300, 200), (400, 400), (270, 220), (70, 90), mirrored, angle)
    hull = extents(placement.paste(placement.cut(image)))[4]
    box = placement.move(boxes)[0]
    torch.testing.assert_close(box[:2] + box[2:], hull[:2] + hull[2:], atol=2.5, rtol=0)
    assert ((box[2:] - box[:2]) <= (hull[2:] - hull[:2]) + TOLERANCE).all()


@pytest.mark.parametrize(
    ("shape", "rotation"), [("rectangle", 0.0), ("ellipse", 0.0), ("ellipse", 30.0)]
)
def test_boxes_of_a_mosaic_stay_on_the_objects_of_four_photos(shape: str, rotation: float) -> None:
    augment = Augment(scale=(0.6, 1.5), colour=0.1, mosaic=1.0, rotation=rotation)
    photos = set()
    for seed in range(25):
        image, boxes, labels = augment.view(gallery(shape, seed), 0, 4, 320, random.Random(seed))
        assert image.size == (320, 320)
        assert ((boxes >= 0) & (boxes <= 320)).all()
        assert len(set(labels.tolist())) == len(labels)
        seen = extents(image)
        for box, label in zip(boxes, labels.tolist(), strict=True):
            excess = (seen[label] - box) * torch.tensor([-1, -1, 1, 1])
            assert (excess <= TOLERANCE).all()
            if shape == "rectangle":  # cut off by its tile or not
                assert (excess >= -TOLERANCE).all()
        photos |= {label // 2 for label in labels.tolist()}
    assert photos == {0, 1, 2, 3}


def test_mixup_has_the_boxes_of_both_photos_on_their_objects() -> None:
    def load(index: int) -> Loaded:
        # One object raises red, or green: what is blended can be told apart.
        image = Image.new("RGB", (400, 300), (100, 100, 100))
        box = [(60, 50, 200, 220), (180, 30, 330, 150)][index]
        image.paste([(200, 100, 100), (100, 200, 100)][index], box)
        return image, torch.tensor([box], dtype=torch.float32), torch.tensor([index])

    augment = Augment(scale=(0.5, 1.0), colour=0.0, hue=0.0, mixup=1.0)
    both = 0
    for seed in range(20):
        rng = random.Random(seed)
        image, boxes, labels = augment.view(load, rng.randrange(2), 2, 256, rng)
        assert len(boxes) == 2
        if len(set(labels.tolist())) < 2:
            continue  # a photo with itself
        both += 1
        red, green, blue = np.moveaxis(np.asarray(image, dtype=np.int16), -1, 0)
        raised = torch.from_numpy(np.stack((red - blue, green - blue)))
        for box, label in zip(boxes, labels.tolist(), strict=True):
            rows, columns = (raised[label] > raised[label].max() / 2).nonzero(as_tuple=True)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            torch.testing.assert_close(box, torch.tensor(seen).float(), atol=TOLERANCE, rtol=0)
    assert both >= 5


def test_exactly_the_boxes_below_the_limits_are_dropped() -> None:
    """Compared with what can be seen of the objects; cases too close to call are left out."""
    augment = Augment(scale=(2.2, 2.2), colour=0.0, hue=0.0)
    factor, kept, dropped = 2.2 * 160 / 500, 0, 0
    for seed in range(200):
        rng = random.Random(seed)
        left, top = rng.randint(0, 480), rng.randint(0, 355)
        box = (left, top, rng.randint(left + 4, 500), rng.randint(top + 4, 375))
        photo = painting([box], [3], shape="rectangle")
        image, boxes, labels = augment(*photo, 160, rng)
        seen = extents(image).get(3, torch.zeros(4))
        sides = seen[2:] - seen[:2]
        share = sides.prod() / ((box[2] - box[0]) * (box[3] - box[1]) * factor**2)
        if share > LEAST_VISIBLE + 0.05 and sides.min() > SMALLEST_SIDE + 1.5:
            assert labels.tolist() == [3]
            kept += 1
        elif share < LEAST_VISIBLE - 0.05 or sides.min() < SMALLEST_SIDE - 1.5:
            assert len(boxes) == len(labels) == 0
            dropped += 1
    assert min(kept, dropped) >= 40


def test_the_limits_themselves_are_visible_enough() -> None:
    boxes = torch.tensor(
        [
            [10.0, 10, 14, 60],  # the least side
            [10.0, 10, 13.9, 60],  # less
            [-70.0, 0, 30, 50],  # the least share
            [-71.0, 0, 30, 50],  # less
            [90.0, -10, 110, 45],  # a corner: .5 of its width, .82 of its height
            [120.0, 10, 150, 40],  # out of sight
        ]
    )
    shown, labels = visible(boxes, torch.arange(6), (100, 50))
    assert labels.tolist() == [0, 2, 4]
    assert shown.tolist() == [[10, 10, 14, 60 - 10], [0, 0, 30, 50], [90, 0, 100, 45]]
