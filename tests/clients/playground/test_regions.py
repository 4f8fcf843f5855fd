"""Regions that are dragged over the photo, or written beside it: the model looks there alone."""

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route

from tests.clients.playground.bench import Bench
from tests.clients.playground.conftest import OpenBench

CLASSIFIER = "efficientnet_lite0_imagenet/1"


def drag(bench: Bench, left: float, top: float, right: float, bottom: float) -> None:
    """From one corner of a box, in pixels of cat.jpg, to the other."""
    canvas = bench.page.locator("#boxes").bounding_box()
    assert canvas is not None
    scale = canvas["width"] / 451
    mouse = bench.page.mouse
    mouse.move(canvas["x"] + left * scale, canvas["y"] + top * scale)
    mouse.down()
    mouse.move(canvas["x"] + (left + right) / 2 * scale, canvas["y"] + bottom * scale)
    mouse.move(canvas["x"] + right * scale, canvas["y"] + bottom * scale)
    mouse.up()


@pytest.fixture
def cat(bench: Bench, photos: Path) -> Bench:
    bench.page.select_option("#model", CLASSIFIER)
    bench.choose(photos / "cat.jpg")
    return bench


def test_what_is_dragged_over_is_classified(cat: Bench, photos: Path) -> None:
    cat.answered(lambda: drag(cat, 260, 290, 40, 10))  # whichever corner is first
    cat.answered(lambda: drag(cat, 300, 120, 900, 250))  # beyond the edge
    asked = cat.questions[-1]["regions"]
    sides = [[float(side) for side in region.split(",")] for region in asked]
    assert sides[0] == pytest.approx([40, 10, 260, 290], abs=1.5)
    assert sides[1] == pytest.approx([300, 120, 451, 250], abs=1.5)
    reply = httpx.post(
        f"{cat.url}/v1/classify",
        params={"model": CLASSIFIER, "regions": asked, "top_k": 5},
        content=(photos / "cat.jpg").read_bytes(),
        headers={"content-type": "image/jpeg"},
        timeout=60,
    )
    expected = reply.json()["results"][0]["regions"]
    best = [region["classifications"][0] for region in expected]
    assert cat.rows() == [(one["label"], f"{round(one['score'] * 100)}%") for one in best]
    assert cat.text("#results-title") == "2 regions"
    assert cat.answer()["results"][0]["regions"] == expected
    assert cat.pixels("boxes")[..., 3].any()
    cat.page.click("#tab-python")
    assert "for region in result.regions:" in cat.text("#snippet-code")
    cat.answered(lambda: cat.page.click("#reset"))
    assert "regions" not in cat.questions[-1]
    assert len(cat.rows()) == 5


def test_what_is_written_counts_as_well(cat: Bench) -> None:
    cat.answered(lambda: cat.page.fill("#regions", "40, 10,260,290\n1,2\n"))
    assert cat.questions[-1]["regions"] == ["40,10,260,290"]
    cat.expects_refusals = True
    cat.answered(lambda: cat.page.fill("#regions", "500,10,560,90"))
    assert cat.text("#fault-title") == "A region is not in the photo"


def test_a_press_is_no_region(cat: Bench) -> None:
    cat.page.locator("#boxes").click()
    assert cat.has_asked_once()


def test_another_photo_has_no_regions(cat: Bench, photos: Path) -> None:
    cat.answered(lambda: drag(cat, 40, 10, 260, 290))
    cat.choose(photos / "coffee.jpg")
    assert "regions" not in cat.questions[-1]


def test_a_detector_that_looks_everywhere_takes_none(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "cat.jpg")
    assert bench.page.locator("#regions-control").is_hidden()
    drag(bench, 40, 10, 260, 290)
    assert bench.has_asked_once()


def test_a_detector_that_must_be_told_is_told(
    open_bench: OpenBench, photos: Path, url: str
) -> None:
    """Whether it is one its inputs say."""
    bench = open_bench()

    def told(route: Route) -> None:
        models = httpx.get(f"{url}/v1/models", timeout=60).json()
        for model in models["models"]:
            model["inputs"].append({"name": "regions", "dtype": "float32", "shape": ["N", "R", 4]})
        route.fulfill(body=json.dumps(models), content_type="application/json")

    def found(route: Route) -> None:
        reply = httpx.post(
            f"{url}/v1/detect",
            content=(photos / "cat.jpg").read_bytes(),
            headers={"content-type": "image/jpeg"},
            timeout=60,
        )
        route.fulfill(body=reply.text, content_type="application/json")

    bench.page.route("**/v1/models", told)
    bench.page.route("**/v1/detect*", found)
    bench.open()
    bench.wait_for_models()
    bench.choose(photos / "cat.jpg")
    assert "regions" not in bench.questions[-1]
    bench.answered(lambda: drag(bench, 40, 10, 260, 290))
    (region,) = bench.questions[-1]["regions"]
    assert [float(side) for side in region.split(",")] == pytest.approx([40, 10, 260, 290], abs=1.5)
    assert bench.rows()[0][0] == "cat"
    bench.page.click("#tab-python")
    assert f"regions=[[{region.replace(',', ', ')}]]" in bench.text("#snippet-code")
