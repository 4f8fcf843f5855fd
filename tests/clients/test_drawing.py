"""Boxes and labels stand where they should, and can be read."""

import numpy as np
import pytest
from boxport_client import Box, Detection, DetectionResult, ModelReference
from boxport_client.drawing import label_colour, text_colour
from PIL import Image

GREY = (90, 90, 90)


def result(*boxes: Box, size: tuple[int, int] = (400, 300)) -> DetectionResult:
    return DetectionResult(
        width=size[0],
        height=size[1],
        detections=tuple(Detection(box, 0.9, "cat", 8) for box in boxes),
        model=ModelReference("m", "1", "0" * 64),
        request_id="r",
        timing_ms={},
    )


def draw(*boxes: Box, size: tuple[int, int] = (400, 300)) -> np.ndarray:
    return np.asarray(result(*boxes, size=size).draw(Image.new("RGB", size, GREY)))


def test_frame_lies_on_the_box() -> None:
    pixels = draw(Box(100, 80, 300, 250))
    colour = label_colour("cat")
    for x, y in ((100, 160), (300, 160), (200, 250), (200, 80)):
        assert tuple(pixels[y, x]) == colour
    assert tuple(pixels[160, 200]) == GREY
    assert tuple(pixels[270, 200]) == GREY


@pytest.mark.parametrize(
    "box",
    [Box(0, 0, 50, 40), Box(380, 5, 400, 300), Box(0, 290, 400, 300), Box(-20, -20, 500, 400)],
)
def test_label_stays_inside_the_picture(box: Box) -> None:
    changed = (draw(box) != GREY).any(axis=-1)
    plate = changed.sum(axis=1).max()
    assert plate > 45  # room for the whole text in one row of pixels


def test_original_is_left_alone() -> None:
    photo = Image.new("RGB", (400, 300), GREY)
    result(Box(10, 10, 90, 90)).draw(photo)
    assert photo.getcolors() == [(400 * 300, GREY)]


def test_no_detection_leaves_the_picture_as_it_is() -> None:
    assert (draw() == GREY).all()


def test_another_photo_is_refused() -> None:
    with pytest.raises(ValueError, match="the photo is 10 x 10"):
        result().draw(Image.new("RGB", (10, 10)))


def test_colours_are_stable_and_differ() -> None:
    names = ("cat", "dog", "person", "car", "bird", "chair")
    assert len({label_colour(name) for name in names}) == len(names)
    assert text_colour((255, 255, 0)) == "black"
    assert text_colour((0, 0, 200)) == "white"
