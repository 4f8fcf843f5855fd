"""Boxes and labels stand where they should, and can be read."""

from __future__ import annotations

import numpy as np
import pytest
from boxport_client import (
    Box,
    Classification,
    ClassificationResult,
    Detection,
    DetectionResult,
    ModelReference,
    Region,
)
from boxport_client._palette import label_colour
from boxport_client._plates import Lettering, fitting_scale, place
from PIL import Image

GREY = (90, 90, 90)
CAT, DOG = 8, 12
SIZES = [(120, 90), (90, 120), (400, 300), (1920, 1080), (6000, 400), (6000, 4000)]


def result(
    *boxes: Box, size: tuple[int, int] = (400, 300), label: str = "cat", label_id: int = CAT
) -> DetectionResult:
    return DetectionResult(
        width=size[0],
        height=size[1],
        detections=tuple(Detection(box, 0.9, label, label_id) for box in boxes),
        model=ModelReference("m", "1", "0" * 64),
        request_id="r",
        timing_ms={},
    )


def draw(*boxes: Box, size: tuple[int, int] = (400, 300), **options: object) -> np.ndarray:
    return np.asarray(result(*boxes, size=size).draw(Image.new("RGB", size, GREY), **options))


def has(pixels: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return (pixels == colour).all(axis=-1)


@pytest.mark.parametrize("line", [1, 2, 5])
def test_frame_is_made_of_the_boxs_outermost_pixels(line: int) -> None:
    pixels = draw(Box(100, 80, 300, 250), labels=False, line_width=line)
    expected = np.zeros((300, 400), dtype=bool)
    expected[80:250, 100:300] = True
    expected[80 + line : 250 - line, 100 + line : 300 - line] = False
    np.testing.assert_array_equal(has(pixels, label_colour(CAT)), expected)


def test_frame_is_parted_from_a_photo_of_its_colour() -> None:
    photo = Image.new("RGB", (400, 300), label_colour(CAT))
    drawn = np.asarray(result(Box(100, 80, 300, 250)).draw(photo, labels=False, line_width=4))
    row = has(drawn[165], label_colour(CAT))
    assert not row[99]
    assert row[100:104].all()
    assert not row[104]
    assert row[105:295].all()
    assert row[:99].all()


def test_frames_grow_with_the_photo() -> None:
    widths = []
    for size in SIZES:
        box = Box(size[0] * 0.25, size[1] * 0.25, size[0] * 0.75, size[1] * 0.75)
        row = has(draw(box, size=size, labels=False)[size[1] // 2], label_colour(CAT))
        widths.append(row.sum() / 2)
    assert widths == [1, 1, 2, 8, 8, 26]


@pytest.mark.parametrize(
    "box", [Box(0, 0, 400, 300), Box(-20, -20, 500, 400), Box(399.6, 0, 400, 300)]
)
def test_frame_at_the_border_can_be_seen(box: Box) -> None:
    pixels = draw(box, labels=False, line_width=2)
    assert has(pixels, label_colour(CAT))[:, -1].all()


def test_boxes_without_a_side_are_dots_and_lines() -> None:
    pixels = draw(Box(10, 10, 10, 10), Box(20, 50, 90, 50), labels=False, line_width=2)
    assert has(pixels, label_colour(CAT))[10, 10]
    assert has(pixels, label_colour(CAT))[50, 20:90].all()


def test_alpha_fills_boxes() -> None:
    box = Box(100, 80, 300, 250)
    colour = np.array(label_colour(CAT))
    for alpha in (0, 0.25, 1):
        pixels = draw(box, alpha=alpha)
        mixed = (1 - alpha) * np.array(GREY) + alpha * colour
        np.testing.assert_allclose(pixels[165, 200], mixed, atol=1)
        assert tuple(pixels[270, 200]) == GREY
        assert tuple(pixels[165, 100]) == tuple(colour)


def test_fills_lie_below_all_frames() -> None:
    pixels = draw(Box(0, 0, 300, 300), Box(100, 100, 200, 200), alpha=0.5, labels=False)
    assert tuple(pixels[150, 100]) == label_colour(CAT)


def test_the_best_lies_on_top() -> None:
    best = Detection(Box(50, 50, 150, 150), 0.9, "cat", CAT)
    worst = Detection(Box(50, 50, 150, 150), 0.4, "dog", DOG)
    both = DetectionResult(200, 200, (best, worst), ModelReference("m", "1", ""), "r", {})
    drawn = both.draw(Image.new("RGB", (200, 200)), labels=False)
    assert drawn.getpixel((50, 100)) == label_colour(CAT)


@pytest.mark.parametrize(
    "options", [{"alpha": -0.1}, {"alpha": 1.1}, {"line_width": 0}, {"line_width": -2}]
)
def test_parameters_out_of_range(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        draw(Box(10, 10, 90, 90), **options)


def test_original_is_left_alone() -> None:
    photo = Image.new("RGB", (400, 300), GREY)
    result(Box(10, 10, 90, 90)).draw(photo, alpha=0.5)
    assert photo.getcolors() == [(400 * 300, GREY)]


def test_no_detection_leaves_the_picture_as_it_is() -> None:
    assert (draw() == GREY).all()


def test_another_photo_is_refused() -> None:
    words = "the photo is 10 x 10, the result is for one of 400 x 300"
    with pytest.raises(ValueError, match=words):
        result().draw(Image.new("RGB", (10, 10)))


def lettering_of(*boxes: Box, size: tuple[int, int]) -> Lettering:
    return Lettering.of_scale(fitting_scale(boxes, size))


class TestPlates:
    """Of the areas that are drawn, and of what is drawn there."""

    def areas(self, *boxes: Box, size: tuple[int, int] = (400, 300)) -> list[Box]:
        """In the order of ``boxes``."""
        lettering = lettering_of(*boxes, size=size)
        plates = place(result(*boxes, size=size).detections, size, lettering)
        return [plate.area for plate in plates][::-1]

    def test_a_plate_stands_on_its_box(self) -> None:
        (area,) = self.areas(Box(100, 80, 300, 250))
        assert (area.left, area.bottom) == (100, 80)

    @pytest.mark.parametrize(
        ("box", "edges"),
        [
            (Box(100, 3, 300, 250), {"left": 100, "top": 3}),  # no room above: inside
            (Box(100, 0, 300, 5), {"left": 100, "top": 0}),
            (Box(375, 80, 395, 250), {"right": 395, "bottom": 80}),  # from the right
            (Box(0, 0, 400, 300), {"left": 0, "top": 0}),
        ],
    )
    def test_where_it_goes_without_room_there(self, box: Box, edges: dict) -> None:
        (area,) = self.areas(box)
        assert {name: getattr(area, name) for name in edges} == edges

    def test_places_are_taken_in_order(self) -> None:
        """Above, inside at the top, below, inside at the bottom; from the left, from the right."""
        areas = self.areas(*[Box(100, 80, 300, 250)] * 8)
        edges = [
            (
                "left" if area.left == 100 else "right" if area.right == 300 else "",
                tuple(area)[1::2],
            )
            for area in areas
        ]
        high = areas[0].height
        rows = [(80 - high, 80), (80, 80 + high), (250, 250 + high), (250 - high, 250)]
        assert edges == [(side, row) for row in rows for side in ("left", "right")]

    def test_plates_give_way_to_each_other(self) -> None:
        """Six boxes with one corner, all of whose plates would lie on another."""
        boxes = [Box(100, 80, 300 + 12 * step, 200 + 12 * step) for step in range(6)]
        areas = self.areas(*boxes)
        for index, area in enumerate(areas):
            assert not any(area.intersection(other) for other in areas[:index])

    def test_where_all_is_full_the_best_lies_on_top(self) -> None:
        boxes = [Box(0, 0, 120, 90)] * 40
        lettering = lettering_of(*boxes, size=(120, 90))
        plates = place(result(*boxes, size=(120, 90)).detections, (120, 90), lettering)
        assert len(plates) == 40
        assert plates[-1].area.left == plates[-1].area.top == 0

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize(
        "corners",
        [(0, 0, 1, 1), (0.96, 0.02, 1, 1), (0, 0.97, 1, 1), (-0.1, -0.1, 1.2, 1.2), (1, 1, 1, 1)],
    )
    def test_plates_stay_inside_the_picture(
        self, size: tuple[int, int], corners: tuple[float, ...]
    ) -> None:
        box = Box(*(np.array(corners) * (*size, *size)).tolist())
        (area,) = self.areas(box, size=size)
        assert 0 <= area.left < area.right <= size[0]
        assert 0 <= area.top < area.bottom <= size[1]

    @pytest.mark.parametrize(
        ("side", "letters"), [(0.9, [11, 11, 11, 42, 46, 144]), (0.02, [11, 11, 11, 21, 22, 70])]
    )
    def test_letters_fit_photo_and_boxes_and_never_get_too_small(
        self, side: float, letters: list[int]
    ) -> None:
        boxes = {size: Box(0, 0, size[0] * side, size[1] * side) for size in SIZES}
        assert [lettering_of(boxes[size], size=size).size for size in SIZES] == letters
        assert lettering_of(Box(0, 0, 300, 300), size=(4000, 3000)).size == 50
        assert lettering_of(size=(4000, 3000)).size == 102

    def test_label_and_score_are_written(self) -> None:
        box = Box(100, 80, 300, 250)
        lettering = lettering_of(box, size=(400, 300))
        (plate,) = place(result(box).detections, (400, 300), lettering)
        assert plate.text == "cat 90%"
        part = draw(box)[80 - lettering.height : 80, 100 : 100 + lettering.width("cat 90%")]
        plain = has(part, label_colour(CAT))
        assert 0.5 < plain.mean() < 0.95
        assert (part.sum(axis=-1) < 60).any()  # black letters on a light green
        without = draw(box, labels=False)[60:79, 100:160]
        assert (without[:-1] == GREY).all()

    @pytest.mark.parametrize(
        ("label", "text"),
        [
            ("cat", "cat 90%"),
            ("red hot air balloons", "red hot air balloons"),  # the score goes first
            ("a fire hydrant in the rain", "a fire hydrant in the..."),
            ("W" * 500, "WWWWWWWWWW..."),
        ],
    )
    def test_long_labels_are_cut_to_the_photo(self, label: str, text: str) -> None:
        size = (120, 90)
        found = result(Box(5, 30, 100, 80), size=size, label=label)
        (plate,) = place(found.detections, size, Lettering.of_scale(1))
        assert plate.text == text
        assert 0 <= plate.area.left < plate.area.right <= 120
        found.draw(Image.new("RGB", size))

    @pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (12, 9)])
    def test_photos_without_room_for_a_letter(self, size: tuple[int, int]) -> None:
        box = Box(0, 0, *size)
        assert result(box, size=size).draw(Image.new("RGB", size)).size == size

    def test_a_thousand_detections_are_drawn(self) -> None:
        spots = np.random.default_rng(0).uniform(0, 800, (1000, 2))
        boxes = [Box(x, y, x + 100, y + 80) for x, y in spots.tolist()]
        assert has(draw(*boxes, size=(900, 900)), label_colour(CAT)).mean() > 0.5


def test_a_real_photo_is_marked(photos) -> None:
    """The kinds of photo that `draw` takes give one drawing; a grey photo becomes coloured."""
    path = photos / "photographer.jpg"
    found = result(Box(0, 62, 357, 512), size=(512, 512), label="person", label_id=15)
    drawn = found.draw(path)
    assert drawn.mode == "RGB"
    assert drawn.getpixel((0, 300)) == label_colour(15)
    assert found.draw(path.read_bytes()).tobytes() == drawn.tobytes()
    assert found.draw(np.asarray(Image.open(path))).tobytes() == drawn.tobytes()


def test_a_second_models_class_and_its_score_are_written() -> None:
    classes = (Classification("tabby", 281, 0.5), Classification("lynx", 287, 0.25))
    found = Detection(Box(0, 0, 1, 1), 0.9, "cat", CAT, classes)
    lettering = Lettering.of_scale(20)
    assert lettering.fitting(found, 1000) == "cat: tabby 50%"
    assert lettering.fitting(found, lettering.width("cat: tabby 5")) == "cat: tabby"


def test_regions_are_drawn_as_what_they_show() -> None:
    box = Box(100, 80, 300, 250)
    model, photo = ModelReference("m", "1", "0" * 64), Image.new("RGB", (400, 300), GREY)
    region = Region(box, (Classification("cat", CAT, 0.9),))
    drawn = ClassificationResult(400, 300, (), model, "r", {}, (region,)).draw(photo)
    np.testing.assert_array_equal(np.asarray(drawn), draw(box))
    whole = ClassificationResult(400, 300, region.classifications, model, "r", {})
    np.testing.assert_array_equal(np.asarray(whole.draw(photo)), np.asarray(photo))
