"""Whatever happens to a photo, its boxes stay on its objects."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from models.training.augment import Augment
from models.training.augment.geometry import (
    FILL,
    LEAST_VISIBLE,
    SMALLEST_SIDE,
    Loaded,
    Warp,
    visible,
)
from models.variants import VARIANTS, at_size
from service.imaging.resize import to_input

# One for each label. Halfway to the grey around them, none is near another.
COLOURS = tuple(itertools.product((0, 255), repeat=3))
GREY = (128, 128, 128)
VARYING = at_size(VARIANTS["retinanet_resnet18_fpn"], 256).input
EVERYTHING = Augment(
    aspect=0.3, rotation=20.0, lighting=0.1, noise=5.0, mosaic=0.5, mixup=0.5, hue=0.1
)
TOLERANCE = 1.5  # pixels

Load = Callable[[int], Loaded]


def painting(
    boxes: list[tuple[int, int, int, int]],
    labels: list[int],
    size: tuple[int, int] = (500, 375),
    shape: str = "ellipse",
) -> Loaded:
    """Grey, with an object in its label's colour that fills each box."""
    image = Image.new("RGB", size, GREY)
    draw = getattr(ImageDraw.Draw(image), shape)
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        draw((left, top, right - 1, bottom - 1), fill=COLOURS[label])
    return image, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(labels)


def gallery(shape: str, seed: int) -> Load:
    """Paintings of two objects, apart from each other; those of the first four have own labels."""
    rng, labels = random.Random(seed), itertools.cycle(range(8))

    def load(_: int) -> Loaded:
        width, height = rng.choice([(500, 375), (375, 500), (400, 400)])
        boxes = []
        for side in (0, width // 2):  # one in each half
            left, top = side + rng.randint(0, width // 4), rng.randint(0, height // 2)
            right = rng.randint(left + 10, side + width // 2)
            boxes.append((left, top, right, rng.randint(top + 10, height)))
        return painting(boxes, [next(labels), next(labels)], (width, height), shape)

    return load


def extents(image: Image.Image) -> dict[int, torch.Tensor]:
    """The box around the pixels that are nearer to a label's colour than to grey, by label."""
    pixels = np.asarray(image, dtype=np.int16)
    nearer = np.minimum(pixels, 255 - pixels).sum(-1) < np.abs(pixels - GREY).sum(-1)
    nearest = np.where(nearer, (pixels >= GREY) @ [4, 2, 1], -1)  # COLOURS count in binary
    boxes = {}
    for label in set(np.unique(nearest).tolist()) - {-1}:
        rows, columns = (np.flatnonzero((nearest == label).any(axis)) for axis in (1, 0))
        corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        boxes[label] = torch.tensor(np.array(corners), dtype=torch.float32)
    return boxes


def assert_on_objects(view: Loaded, shape: str) -> None:
    """Each box encloses its object, and fits it too."""
    image, boxes, labels = view
    assert boxes.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert ((boxes >= 0) & (boxes <= torch.tensor(image.size).repeat(2))).all()
    seen = extents(image)
    for box, label in zip(boxes, labels.tolist(), strict=True):
        excess = (seen[label] - box) * torch.tensor([-1, -1, 1, 1])  # of the object over the box
        assert (excess <= TOLERANCE).all(), (label, box, seen[label])
        if shape == "rectangle":
            assert (excess >= -TOLERANCE).all(), (label, box, seen[label])
        # What is left of an ellipse may not reach as far as what is left of its box, and the tips
        # of a narrow one fade into the grey before they end.
        elif not is_cut_off(image, seen[label]):
            assert (excess >= -2 * TOLERANCE).all(), (label, box, seen[label])


def is_cut_off(image: Image.Image, extent: torch.Tensor) -> bool:
    """Whether an object ends at the edge of the view."""
    return bool((extent[:2] == 0).any() or (extent[2:] == torch.tensor(image.size)).any())


def same(first: Loaded, second: Loaded) -> bool:
    return first[0].tobytes() == second[0].tobytes() and all(
        torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True)
    )


@pytest.mark.parametrize("size", [96, 255, 320])
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


@pytest.mark.parametrize("augment", [Augment(), EVERYTHING, Augment(mosaic=1.0, mixup=1.0)])
def test_a_view_follows_from_its_rng(augment: Augment) -> None:
    def view(seed: int) -> Loaded:
        return augment.view(gallery("ellipse", 0), 0, 9, 128, random.Random(seed))

    for seed in range(5):
        assert same(view(seed), view(seed))
        assert not same(view(seed), view(seed + 100))


def test_global_randomness_is_left_alone() -> None:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    for seed in range(5):
        EVERYTHING.view(gallery("ellipse", 0), 0, 9, 128, random.Random(seed))
    assert random.getstate() == before[0]
    after = np.random.get_state()
    assert np.array_equal(after[1], before[1][1])
    assert after[2:] == before[1][2:]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_loaded_photo_is_left_as_it_was() -> None:
    photo = gallery("ellipse", 0)(0)
    before = photo[0].copy(), photo[1].clone(), photo[2].clone()
    for seed in range(10):
        EVERYTHING.view(lambda _: photo, 0, 1, 128, random.Random(seed))
    assert same(photo, before)


@pytest.mark.parametrize(
    ("mosaic", "mixup", "photos"), [(0, 0, 1), (1, 0, 4), (0, 1, 2), (1, 1, 8)]
)
def test_a_view_is_made_of_its_own_photo_and_random_others(
    mosaic: int, mixup: int, photos: int
) -> None:
    others = set()
    for seed in range(60):
        indices: list[int] = []

        def load(index: int, indices: list[int] = indices) -> Loaded:
            indices.append(index)
            return painting([], [])

        augment = Augment(mosaic=mosaic, mixup=mixup)
        augment.view(load, 2, 5, 64, random.Random(seed))
        assert indices[0] == 2
        assert len(indices) == photos
        others |= set(indices[1:])
    assert others == (set() if photos == 1 else set(range(5)))


@pytest.mark.parametrize("colour", ["colour", "hue", "lighting", "noise"])
def test_colours_change_without_the_boxes(colour: str) -> None:
    photo = painting([(100, 100, 300, 300)], [1])
    plain = Augment(colour=0.0, hue=0.0)
    changed = Augment(**{"colour": 0.0, "hue": 0.0, colour: 0.2 if colour != "noise" else 9.0})
    for seed in range(10):
        expected = plain(*photo, 128, random.Random(seed))
        actual = changed(*photo, 128, random.Random(seed))
        assert torch.equal(actual[1], expected[1])
        assert torch.equal(actual[2], expected[2])
        assert actual[0].tobytes() != expected[0].tobytes()


def test_no_change_of_colour_or_place_is_the_identity() -> None:
    image = Image.effect_noise((200, 200), 60).convert("RGB")
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0)
    view, boxes, _ = augment(
        image, torch.tensor([[5.0, 6, 70, 80]]), torch.tensor([1]), 200, random.Random(0)
    )
    assert view.tobytes() == image.tobytes()
    assert boxes.tolist() == [[5, 6, 70, 80]]


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_the_fill_around_a_photo_keeps_its_colour(rotation: float) -> None:
    photo = Image.new("RGB", (100, 100), (200, 60, 20)), torch.zeros(0, 4), torch.zeros(0).long()
    augment = Augment(scale=(0.5, 0.5), colour=0.5, hue=0.1, lighting=0.1, rotation=rotation)
    for seed in range(10):
        image, _, _ = augment(*photo, 100, random.Random(seed))
        outside = (np.asarray(image) == FILL).all(-1).sum() / 100**2
        assert outside == (pytest.approx(0.75, abs=0.01) if rotation else 0.75)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_resized_in_part_is_as_if_resized_whole(mirrored: bool) -> None:
    image = Image.effect_noise((501, 377), 60).convert("RGB")
    placement = Warp(image.size, (100, 90), (333, 251), (-41, -77), mirrored)
    whole = image.resize((333, 251), Image.Resampling.BILINEAR)
    if mirrored:
        whole = whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    expected = np.asarray(whole.crop((41, 77, 141, 167)), dtype=int)
    view = np.asarray(placement.paste(placement.cut(image)), dtype=int)
    assert np.abs(view - expected).max() <= 1


def test_a_mirrored_photo_mirrored_again_is_itself() -> None:
    image, boxes, _ = gallery("rectangle", 0)(0)
    placement = Warp(image.size, image.size, image.size, (0, 0), mirrored=True)
    mirrored = placement.paste(placement.cut(image))
    assert placement.paste(placement.cut(mirrored)).tobytes() == image.tobytes()
    torch.testing.assert_close(placement.move(placement.move(boxes)), boxes)


@pytest.mark.parametrize("size", [(1, 1), (4000, 10), (10, 4000), (3, 500), (500, 375)])
@pytest.mark.parametrize("boxes", [0, 1])
def test_photos_of_any_shape_are_seen_with_and_without_boxes(
    size: tuple[int, int], boxes: int
) -> None:
    image = Image.new("RGB", size, "white")
    photo = image, torch.tensor([[0.0, 0, *size]])[:boxes], torch.tensor([3])[:boxes]
    for augment in (Augment(), Augment(rotation=180.0, aspect=1.0), EVERYTHING):
        for seed, side in enumerate((32, 64, 128, 333) * 3):
            view, found, labels = augment.view(lambda _: photo, 0, 1, side, random.Random(seed))
            assert view.size == (side, side)
            assert found.shape == (len(labels), 4)
            assert len(labels) <= 8 * boxes
            assert (np.asarray(view) != FILL).any()


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (640, 200)])
def test_views_have_the_scale_and_fill_of_the_service(size: tuple[int, int]) -> None:
    """Where inputs vary in size: a view is a square part of what the service makes."""
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0).for_input(VARYING)
    x, y = size[0] // 2, size[1] // 2
    photo = painting([(x - 20, y - 20, x + 20, y + 20)], [1], size, "rectangle")
    placement = to_input(photo[0], VARYING).placement
    scale = torch.tensor([placement.scale_x, placement.scale_y])
    shown = 0
    for seed in range(10):
        view = augment(*photo, 256, random.Random(seed))
        assert view[0].size == (256, 256)
        assert_on_objects(view, "rectangle")
        for left, top, right, bottom in view[1].tolist():
            shown += 1
            if min(left, top) > 1 and max(right, bottom) < 255:
                sides = torch.tensor([right - left, bottom - top])
                torch.testing.assert_close(sides, 40 * scale, atol=0.5, rtol=0)
    assert shown >= 3
    if size == (640, 200):  # which leaves part of the square empty
        assert (np.asarray(view[0]) == VARYING.fill).all(-1).mean() > 0.4


def test_views_are_as_sharp_as_what_the_service_makes() -> None:
    """torchvision's detectors were trained without smoothing: stripes of a pixel stay as strong."""
    stripes = Image.fromarray(np.tile(np.array([[0, 255]], dtype=np.uint8), (900, 450)))
    photo = stripes.convert("RGB"), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0)
    smooth = augment(*photo, 256, random.Random(0))[0]
    sharp = augment.for_input(VARYING)(*photo, 256, random.Random(0))[0]
    expected = to_input(photo[0], VARYING).pixels.std()
    assert np.asarray(smooth).std() < 0.5 * expected
    assert np.asarray(sharp).std() == pytest.approx(expected, rel=0.1)
