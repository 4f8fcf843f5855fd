"""Boxes stand where the service says, and point to their rows as those do to them."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.clients.playground.bench import Bench
from tests.clients.playground.conftest import OpenBench
from tests.e2e.server import eventually

CHIP = 22  # pixels that a label takes above its box, or within
HALO = 3  # pixels from a box's edge that its line may reach


def asked(bench: Bench, photo: Path, **parameters: object) -> list[dict]:
    """The service's own answer to a plain question."""
    reply = httpx.post(
        f"{bench.url}/v1/detect",
        params=parameters,
        content=photo.read_bytes(),
        headers={"content-type": "image/jpeg"},
        timeout=60,
    )
    result = reply.json()["results"][0]
    return [
        {**found, "width": result["width"], "height": result["height"]}
        for found in result["detections"]
    ]


def edges(detection: dict, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """A box in pixels of a canvas of ``shape``."""
    across, down = shape[1] / detection["width"], shape[0] / detection["height"]
    left, top, right, bottom = detection["box"]
    return left * across, top * down, right * across, bottom * down


def has_line(pixels: np.ndarray, x: float, y: float, colour: np.ndarray) -> bool:
    """Whether ``colour`` is at this place, or a pixel beside it."""
    column, line = int(x), int(y)
    near = pixels[max(0, line - 2) : line + 3, max(0, column - 2) : column + 3].reshape(-1, 4)
    difference = np.abs(near[:, :3].astype(int) - colour).max(axis=1)
    return bool(((near[:, 3] > 200) & (difference < 40)).any())


@pytest.mark.parametrize(
    ("photo", "scale"), [("cat.jpg", 1), ("cat.jpg", 2), ("astronaut.jpg", 1.5)]
)
def test_a_photo_that_is_dropped_gets_its_boxes(
    open_bench: OpenBench, photos: Path, photo: str, scale: float
) -> None:
    bench = open_bench(device_scale_factor=scale)
    bench.wait_for_models()
    bench.answered(lambda: bench.drop(photos / photo))
    expected = asked(bench, photos / photo)
    assert bench.rows() == [(d["label"], f"{round(d['score'] * 100)}%") for d in expected]
    pixels = bench.pixels("boxes")
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(
        expected[0]["width"] / expected[0]["height"], rel=0.01
    )
    allowed = np.zeros(pixels.shape[:2], bool)
    for row, detection in enumerate(expected):
        left, top, right, bottom = edges(detection, pixels.shape)
        colour = bench.colour(row)
        for share in (0.35, 0.5, 0.65, 0.8):
            x, y = left + share * (right - left), top + share * (bottom - top)
            for place in ((left, y), (right, y), (x, top), (x, bottom)):
                if not has_line(pixels, *place, colour):  # a better box may lie upon it
                    assert is_within(allowed, *place), (detection["label"], place)
        allowed |= outline(pixels.shape, (left, top, right, bottom), scale)
    assert not pixels[..., 3][~allowed].any(), "something is drawn where no box is"


def is_within(places: np.ndarray, x: float, y: float) -> bool:
    return bool(places[min(int(y), places.shape[0] - 1), min(int(x), places.shape[1] - 1)])


def outline(
    shape: tuple[int, ...], box: tuple[float, float, float, float], scale: float
) -> np.ndarray:
    """Where a box's line and label may be."""
    left, top, right, bottom = box
    y, x = np.mgrid[: shape[0], : shape[1]]
    reach = HALO * scale
    within = (x >= left - reach) & (x <= right + reach) & (y >= top - reach) & (y <= bottom + reach)
    inside = (x > left + reach) & (x < right - reach) & (y > top + reach) & (y < bottom - reach)
    label = (np.abs(y - top) <= CHIP * scale) & (x <= max(left, 0) + 120 * scale) & (x >= left - 2)
    found: np.ndarray = (within & ~inside) | label
    return found


def test_the_photo_itself_is_shown(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    shown = bench.pixels("photo")
    assert shown[..., 3].min() == 255
    assert shown[..., :3].std() > 30


def test_a_row_that_is_pointed_at_lights_its_box(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "astronaut.jpg")
    before = bench.pixels("boxes")
    bench.page.locator("#rows .row").nth(0).hover()
    lit = bench.pixels("boxes")
    person = asked(bench, photos / "astronaut.jpg")[0]
    left, _, right, bottom = edges(person, lit.shape)
    outside = lit[int(bottom) - 60, int((right + lit.shape[1]) / 2)]
    assert before[int(bottom) - 60, int((right + lit.shape[1]) / 2), 3] == 0
    assert outside[3] > 100, "the rest of the photo steps back"
    assert lit[int(bottom) - 60, int((left + right) / 2), 3] == 0, "and the box does not"
    bench.page.mouse.move(5, 5)
    assert (bench.pixels("boxes") == before).all()


def test_a_box_that_is_pointed_at_lights_its_row(bench: Bench, photos: Path) -> None:
    bench.page.select_option("#model", "efficientdet_lite0_voc/1")
    bench.choose(photos / "astronaut.jpg")
    canvas = bench.page.locator("#boxes")
    size = canvas.bounding_box()
    assert size is not None
    scale = size["width"] / 512
    # only the second box, the bicycle's, reaches here
    canvas.hover(position={"x": 470 * scale, "y": 300 * scale})
    assert active_rows(bench) == ["false", "true"]
    canvas.hover(position={"x": 505 * scale, "y": 20 * scale})
    assert active_rows(bench) == ["false", "false"]
    canvas.click(position={"x": 470 * scale, "y": 300 * scale})
    bench.page.mouse.move(5, 5)
    assert active_rows(bench) == ["false", "true"], "a press keeps it"
    canvas.click(position={"x": 470 * scale, "y": 300 * scale})
    bench.page.mouse.move(5, 5)
    assert active_rows(bench) == ["false", "false"]


def active_rows(bench: Bench) -> list[str | None]:
    return [row.get_attribute("data-active") for row in bench.page.locator("#rows .row").all()]


def test_boxes_keep_to_the_photo_when_the_window_changes(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    wide = bench.pixels("boxes").shape
    bench.page.set_viewport_size({"width": 700, "height": 800})
    eventually(lambda: bench.pixels("boxes").shape != wide, "the canvas is another")
    pixels = bench.pixels("boxes")
    cat = asked(bench, photos / "cat.jpg")[0]
    left, top, right, bottom = edges(cat, pixels.shape)
    middle = (top + bottom) / 2
    assert has_line(pixels, right, middle, bench.colour(0))
    assert has_line(pixels, left, middle, bench.colour(0))


def test_the_picture_with_its_boxes_is_saved(bench: Bench, photos: Path, tmp_path: Path) -> None:
    bench.choose(photos / "cat.jpg")
    with bench.page.expect_download() as caught:
        bench.page.click("#download")
    assert caught.value.suggested_filename == "cat-boxes.png"
    caught.value.save_as(tmp_path / "saved.png")
    saved = np.asarray(Image.open(tmp_path / "saved.png").convert("RGBA"))
    assert saved.shape[:2] == (300, 451)
    _, top, right, bottom = asked(bench, photos / "cat.jpg")[0]["box"]
    assert has_line(saved, right, (top + bottom) / 2, bench.colour(0))
