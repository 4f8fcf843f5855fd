"""Views of photos: where they come from, and what they leave alone."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.augment import Augment
from models.training.augment.geometry import (
    FILL,
    Loaded,
    Warp,
)
from service.imaging.input_spec import Stretch
from service.imaging.resize import to_input
from tests.models.training.paintings import (
    EVERYTHING,
    VARYING,
    assert_on_objects,
    gallery,
    painting,
    same,
)


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


@pytest.mark.parametrize("size", [(500, 375), (200, 640)])
def test_views_are_stretched_where_the_service_stretches(size: tuple[int, int]) -> None:
    half = (0.5, 0.5, 0.5)
    spec = Stretch(height=256, width=256, interpolation="bilinear", mean=half, std=half)
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0).for_input(spec)
    x, y = size[0] // 2, size[1] // 2
    photo = painting([(x - 40, y - 40, x + 40, y + 40)], [1], size, "rectangle")
    view = augment(*photo, 256, random.Random(0))
    difference = np.abs(np.asarray(view[0], dtype=int) - to_input(photo[0], spec).pixels)
    assert difference.max() <= 2  # the service's resize rounds otherwise
    torch.testing.assert_close(
        torch.from_numpy(to_input(photo[0], spec).placement.undo(view[1].numpy())),
        photo[1],
        atol=0.01,
        rtol=0,
    )


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
