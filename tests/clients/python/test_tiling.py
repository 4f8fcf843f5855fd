"""Tiles cover a photo, and what is found in them becomes one answer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from boxport_client import Box, Client, Detection, DetectionResult
from boxport_client._tiling import merge, tiles
from PIL import Image

SIZES = [(4000, 3000), (641, 640), (1280, 640), (1300, 500), (500, 2001), (5000, 641)]
WHOLE = Box(0, 0, 1000, 500)
LEFT, RIGHT = Box(0, 0, 600, 500), Box(400, 0, 1000, 500)


def cat(*box: float, score: float = 0.9) -> Detection:
    return Detection(Box(*box), score, "cat", 8)


def dog(*box: float, score: float = 0.9) -> Detection:
    return Detection(Box(*box), score, "dog", 12)


def merged(*found: tuple[Box, list[Detection]], **changes: object) -> list[Detection]:
    options = {"iou_threshold": 0.5, "max_detections": 100, "class_agnostic": False, **changes}
    return list(merge(found, (1000, 500), **options))


class TestTiles:
    @pytest.mark.parametrize("overlap", [0, 0.1, 0.2, 0.5, 0.9])
    @pytest.mark.parametrize("size", SIZES)
    def test_they_cover_the_photo_and_overlap_enough(
        self, size: tuple[int, int], overlap: float
    ) -> None:
        whole, *grid = tiles(size, 640, overlap)
        assert whole == (0, 0, *size)
        seen = np.zeros(size[::-1], dtype=bool)
        for box in grid:
            assert box.left >= 0
            assert box.top >= 0
            assert (box.width, box.height) == (min(640, size[0]), min(640, size[1]))
            assert box.right <= size[0]
            assert box.bottom <= size[1]
            seen[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = True
        assert seen.all()
        assert len(set(grid)) == len(grid)
        for starts in (sorted({box.left for box in grid}), sorted({box.top for box in grid})):
            assert all(step <= 640 * (1 - overlap) for step in np.diff(starts))

    def test_a_grid(self) -> None:
        """The last tile of a row is shifted back to the border."""
        assert tiles((1500, 700), 640, 0.25) == [
            (0, 0, 1500, 700),
            (0, 0, 640, 640),
            (480, 0, 1120, 640),
            (860, 0, 1500, 640),
            (0, 60, 640, 700),
            (480, 60, 1120, 700),
            (860, 60, 1500, 700),
        ]

    @pytest.mark.parametrize("size", [(640, 640), (1, 1), (640, 300), (639, 640)])
    def test_a_photo_that_fits_into_one_tile_is_asked_once(self, size: tuple[int, int]) -> None:
        assert tiles(size, 640, 0.2) == [(0, 0, *size)]

    def test_no_more_than_needed(self) -> None:
        assert len(tiles((1280, 640), 640, 0)) == 3
        assert len(tiles((4000, 3000), 640, 0.2)) == 1 + 8 * 6

    def test_what_is_smaller_than_the_overlap_is_whole_in_a_tile(self) -> None:
        size, (_, *grid) = (4000, 3000), tiles((4000, 3000), 640, 0.2)
        side = 640 * 0.2
        for left, top in np.random.default_rng(0).uniform(0, 1, (500, 2)).tolist():
            left, top = left * (size[0] - side), top * (size[1] - side)
            box = Box(left, top, left + side, top + side)
            assert any(box.intersection(tile) == box.area for tile in grid)

    @pytest.mark.parametrize(
        ("tile", "overlap", "words"),
        [
            (0, 0.2, "tile is 0, it must be at least 1 pixel"),
            (-640, 0.2, "tile is -640"),
            (640, -0.1, r"overlap is -0.1, it must be in 0..0.9"),
            (640, 0.95, r"overlap is 0.95"),
            (640, 1, "overlap is 1"),
            (640, float("nan"), "overlap is nan"),
        ],
    )
    def test_wrong_parameters(self, tile: int, overlap: float, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            tiles((4000, 3000), tile, overlap)


class TestMerge:
    def test_boxes_are_shifted_to_the_photo(self) -> None:
        view = Box(300, 200, 900, 500)
        assert merged((view, [cat(10, 20, 110, 70)])) == [cat(310, 220, 410, 270)]

    def test_the_best_comes_first(self) -> None:
        found = merged(
            (LEFT, [cat(0, 0, 50, 50, score=0.3), dog(0, 200, 50, 250, score=0.8)]),
            (RIGHT, [cat(500, 0, 550, 50, score=0.5)]),
        )
        assert [one.score for one in found] == [0.8, 0.5, 0.3]

    def test_what_two_views_see_is_found_once(self) -> None:
        found = merged(
            (WHOLE, [cat(450, 100, 550, 200, score=0.6)]),
            (LEFT, [cat(452, 101, 549, 203, score=0.9)]),
            (RIGHT, [cat(50, 100, 148, 200, score=0.7)]),
        )
        assert found == [cat(452, 101, 549, 203, score=0.9)]

    def test_iou_threshold(self) -> None:
        pair = (WHOLE, [cat(0, 0, 100, 100), cat(0, 50, 100, 150, score=0.8)])  # IoU 1/3
        assert len(merged(pair, iou_threshold=0.34)) == 2
        assert len(merged(pair, iou_threshold=0.33)) == 1
        same = (WHOLE, [cat(0, 0, 100, 100), cat(0, 0, 100, 100, score=0.8)])
        assert len(merged(same, iou_threshold=1)) == 2

    def test_labels_compete_only_if_asked(self) -> None:
        pair = (WHOLE, [cat(0, 0, 100, 100), dog(0, 0, 100, 100, score=0.8)])
        assert len(merged(pair)) == 2
        assert merged(pair, class_agnostic=True) == [cat(0, 0, 100, 100)]

    def test_max_detections(self) -> None:
        row = [cat(60 * step, 0, 60 * step + 50, 50, score=0.9 - step / 100) for step in range(9)]
        assert merged((WHOLE, row), max_detections=3) == row[:3]
        assert merged((WHOLE, row), max_detections=1) == row[:1]

    def test_parts_at_inner_borders_go_even_if_they_score_better(self) -> None:
        """A long cat, seen whole in the photo, and its halves in two tiles."""
        long = cat(100, 100, 900, 300, score=0.5)
        found = merged(
            (WHOLE, [long]),
            (LEFT, [cat(100, 100, 600, 300, score=0.95)]),
            (RIGHT, [cat(1, 102, 500, 300, score=0.9)]),
        )
        assert found == [long]

    @pytest.mark.parametrize(
        ("view", "part"),
        [
            (Box(400, 200, 600, 400), (1.5, 50, 80, 90)),
            (Box(400, 200, 600, 400), (50, 1.5, 80, 90)),
            (Box(400, 200, 600, 400), (50, 50, 198.5, 90)),
            (Box(400, 200, 600, 400), (50, 50, 80, 198.5)),
        ],
        ids=["left", "top", "right", "bottom"],
    )
    def test_each_inner_border_cuts(self, view: Box, part: tuple[float, ...]) -> None:
        whole = cat(300, 100, 700, 450, score=0.4)
        assert merged((WHOLE, [whole]), (view, [cat(*part)])) == [whole]

    def test_the_photos_own_border_does_not_cut(self) -> None:
        """A kitten before its mother, both at the photo's left and upper border."""
        mother, kitten = cat(0, 0, 500, 400), cat(0, 0, 100, 100, score=0.8)
        assert merged((WHOLE, [mother]), (LEFT, [kitten])) == [mother, kitten]

    def test_small_objects_before_large_ones_stay(self) -> None:
        """What is cut in one tile is whole in the next."""
        mother = cat(300, 50, 900, 450)
        found = merged(
            (WHOLE, [mother]),
            (LEFT, [cat(500, 200, 600, 300, score=0.7)]),
            (RIGHT, [cat(100, 200, 230, 300, score=0.8)]),
        )
        assert found == [mother, cat(500, 200, 630, 300, score=0.8)]

    def test_a_cut_box_that_is_no_part_stays(self) -> None:
        cut = cat(450, 100, 600, 300)
        assert merged((LEFT, [cut])) == [cut]
        beside = cat(530, 100, 800, 300, score=0.8)  # holds less than half of it
        assert merged((WHOLE, [beside]), (LEFT, [cut])) == [cut, beside]
        other = dog(400, 50, 900, 350, score=0.8)
        assert merged((WHOLE, [other]), (LEFT, [cut])) == [cut, other]
        assert merged((WHOLE, [other]), (LEFT, [cut]), class_agnostic=True) == [other]

    def test_of_two_equal_parts_the_better_stays(self) -> None:
        tile = Box(400, 0, 600, 500)
        part = cat(0, 100, 200, 300, score=0.4)
        assert merged((tile, [part, cat(0, 100, 200, 300)])) == [cat(400, 100, 600, 300)]

    def test_nothing_found(self) -> None:
        assert merged() == merged((WHOLE, []), (LEFT, [])) == []

    @pytest.mark.parametrize("class_agnostic", [False, True])
    @pytest.mark.parametrize("seed", range(20))
    def test_it_is_what_its_definition_says(self, seed: int, class_agnostic: bool) -> None:
        found = crowd(120, (900, 700), 300, labels=3, seed=seed)
        rest = (0.3 + seed / 50, 40, class_agnostic)
        assert merge(found, (900, 700), *rest) == slow_merge(found, (900, 700), *rest)

    def test_five_thousand_boxes_are_no_trouble(self) -> None:
        found = crowd(5000, (4000, 3000), 640, labels=1, seed=0)
        assert len(merge(found, (4000, 3000), 0.5, 1000, False)) == 1000


def crowd(
    number: int, size: tuple[int, int], tile: int, labels: int, seed: int
) -> list[tuple[Box, list[Detection]]]:
    """About ``number`` random boxes in all views of a photo, a third of them at a border."""
    dice = random.Random(seed)
    views = tiles(size, tile, 0.2)
    found = []
    for view in views:
        rows = []
        for _ in range(number // len(views)):
            width, height = (dice.uniform(8, min(side, 300)) for side in (view.width, view.height))
            left = dice.choice([0, dice.random(), dice.random()]) * (view.width - width)
            top = dice.random() * (view.height - height)
            label = dice.randrange(labels)
            box = Box(left, top, left + width, top + height)
            rows.append(Detection(box, dice.random(), str(label), label))
        found.append((view, rows))
    return found


def slow_merge(
    found: list[tuple[Box, list[Detection]]],
    size: tuple[int, int],
    iou_threshold: float,
    max_detections: int,
    class_agnostic: bool,
) -> tuple[Detection, ...]:
    """The definition of `merge`, one matrix a step, without a thought of speed."""
    ours = [
        (Detection(one.box.shifted(view.left, view.top), one.score, one.label, one.label_id), view)
        for view, detections in found
        for one in detections
    ]
    boxes = np.array([one.box for one, _ in ours])
    views = np.array([view for _, view in ours])
    labels = np.array([0 if class_agnostic else one.label_id for one, _ in ours])
    inner = (views > 0) & (views < (*size, *size))
    cut = (inner & (np.abs(boxes - views) < 2)).any(axis=1)
    first = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    rivals = labels[:, None] == labels[None, :]
    part_of = rivals & (areas[None] > areas[:, None]) & (shared >= 0.6 * areas[:, None])
    left = ~(cut & part_of.any(axis=1))
    iou = shared / (areas[:, None] + areas[None] - shared)
    kept: list[int] = []
    for index in np.argsort([-one.score for one, _ in ours]):
        if left[index] and not any(
            rivals[index, k] and iou[index, k] > iou_threshold for k in kept
        ):
            kept.append(index)
    return tuple(ours[index][0] for index in kept[:max_detections])


SPOTS = {  # where photos lie on the canvas, each at about its own size
    "cat.jpg": [(150, 180), (1210, 2310), (3320, 420)],
    "photographer.jpg": [(1700, 300), (3100, 2350), (420, 1500)],
    "astronaut.jpg": [(2500, 1250), (900, 800)],
}


@pytest.fixture(scope="module")
def canvas(photos: Path) -> Image.Image:
    """A photo of 12 megapixels in which eight photos are small objects."""
    whole = Image.new("RGB", (4000, 3000), (128, 128, 128))
    for name, spots in SPOTS.items():
        with Image.open(photos / name) as photo:
            for spot in spots:
                whole.paste(photo.convert("RGB"), spot)
    return whole


@pytest.fixture(scope="module")
def objects(url: str, photos: Path) -> list[Detection]:
    """What the model finds best in each of the photos by itself, as it lies on the canvas."""
    expected = []
    with Client(url) as client:
        for name, spots in SPOTS.items():
            best = client.detect(photos / name).detections[0]
            for x, y in spots:
                box = best.box.shifted(x, y)
                expected.append(Detection(box, best.score, best.label, best.label_id))
    return expected


def recall(found: DetectionResult, objects: list[Detection]) -> float:
    hits = [
        any(one.label == other.label and one.box.iou(other.box) > 0.5 for other in found)
        for one in objects
    ]
    return sum(hits) / len(hits)


def test_tiles_find_what_is_small(url: str, canvas: Image.Image, objects: list[Detection]) -> None:
    with Client(url, timeout=120) as client:
        plain = client.detect(canvas)
        tiled = client.detect(canvas, tile=800)
    assert recall(plain, objects) <= 0.2
    assert recall(tiled, objects) >= 0.85
    assert (tiled.width, tiled.height) == (4000, 3000)
    assert all(0 <= one.box.left < one.box.right <= 4000 for one in tiled)


def test_large_objects_are_still_found(url: str, photos: Path) -> None:
    """A cat that is larger than any tile: once, and not in pieces."""
    with Image.open(photos / "cat.jpg") as photo:
        large = photo.resize((photo.width * 5, photo.height * 5))
    model = "efficientdet_lite0_voc"  # the other one finds a cat in a piece of it, too
    with Client(url, timeout=120) as client:
        expected = client.detect(large, model=model).detections[0]
        tiled = client.detect(large, tile=640, model=model)
    (cat,) = tiled.filter(labels="cat")
    assert cat.box.iou(expected.box) > 0.9
