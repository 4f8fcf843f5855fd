"""Everybody can use it: by keyboard, by ear, on a phone, in the dark, without motion."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tests.clients.playground.bench import Bench
from tests.clients.playground.conftest import PHONE, OpenBench
from tests.e2e.server import eventually
from tests.paths import ROOT

Scheme = Literal["light", "dark"]

AXE = ROOT / "clients" / "typescript" / "node_modules" / "axe-core" / "axe.min.js"

STATES: dict[str, Callable[[Bench, Path], object]] = {
    "empty": lambda bench, photos: None,
    "objects": lambda bench, photos: bench.choose(photos / "astronaut.jpg"),
    "classes": lambda bench, photos: (
        bench.page.select_option("#model", "efficientnet_lite0_imagenet/1"),
        bench.choose(photos / "coffee.jpg"),
    ),
    "fault": lambda bench, photos: bench.choose(photos / "README.md"),
    "camera": lambda bench, photos: (
        bench.page.click(".empty [data-act=camera]"),
        bench.page.locator("#camera-take:enabled").wait_for(),
    ),
}


def faults(bench: Bench) -> list[str]:
    """What axe-core finds wrong, whatever it is held for."""
    bench.page.evaluate(AXE.read_text())
    found = bench.page.evaluate("axe.run()")["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html']} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(bench: Bench, photos: Path, scheme: Scheme) -> None:
    bench.page.emulate_media(color_scheme=scheme)
    bench.expects_refusals = True
    for name, bring_about in STATES.items():
        bench.open()
        bench.wait_for_models()
        bring_about(bench, photos)
        assert faults(bench) == [], name


@pytest.mark.parametrize("state", ["empty", "objects", "fault"])
def test_a_phone_scrolls_downwards_only(open_bench: OpenBench, photos: Path, state: str) -> None:
    bench = open_bench(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    bench.wait_for_models()
    bench.expects_refusals = state == "fault"
    STATES[state](bench, photos)
    widths = bench.page.evaluate(
        "[document.documentElement.scrollWidth, visualViewport.width, visualViewport.scale]"
    )
    assert widths == [360, 360, 1]
    assert faults(bench) == []


def focus(bench: Bench) -> str:
    """What has the keyboard: its id, or its text."""
    text: str = bench.page.evaluate(
        "document.activeElement.id || document.activeElement.innerText.trim()"
    )
    return text


def tab_to(bench: Bench, name: str, key: str = "Tab") -> None:
    """Go on until ``name`` has the keyboard; wherever it stops on the way, that can be seen."""
    for _ in range(40):
        bench.page.keyboard.press(key)
        outline = bench.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", focus(bench)
        if focus(bench).startswith(name):
            return
    raise AssertionError(f"the keyboard does not come to {name}")


def test_the_whole_way_by_keyboard(bench: Bench) -> None:
    bench.page.select_option("#model", "efficientdet_lite0_voc/1")
    press = bench.page.keyboard.press
    tab_to(bench, "Skip to the results")
    tab_to(bench, "Try the sample")
    bench.answered(lambda: press("Enter"))
    assert focus(bench) == "results", "the button has gone; the results are what is next"
    tab_to(bench, "cat")
    assert bench.pixels("boxes")[..., 3].max() > 100
    assert bench.page.locator("#rows .row").first.get_attribute("data-active") == "true"
    press("Enter")
    assert bench.page.locator("#rows .row").first.get_attribute("aria-pressed") == "true"
    tab_to(bench, "score")
    for _ in range(22):
        press("ArrowLeft")
    assert bench.text("#score-value") == "0.08"
    assert len(bench.rows()) == 2
    tab_to(bench, "cat", "Shift+Tab")
    press("ArrowDown")
    assert focus(bench).startswith("sofa")
    press("Home")
    assert focus(bench).startswith("cat")
    tab_to(bench, "agnostic")
    bench.answered(lambda: press("Space"))
    assert len(bench.rows()) == 1, "the sofa's place is the cat's"
    tab_to(bench, "tab-curl")
    press("ArrowRight")
    assert focus(bench) == "tab-python"
    assert "boxport_client" in bench.text("#snippet-code")
    press("ArrowLeft")
    press("ArrowLeft")
    assert focus(bench) == "tab-json"


def test_what_is_found_is_said(bench: Bench, photos: Path) -> None:
    status = bench.page.locator("#status")
    assert status.get_attribute("role") == "status"

    def is_said(words: str) -> None:
        eventually(lambda: status.inner_text() == words, f"“{words}” is said", 10)

    bench.page.select_option("#model", "efficientdet_lite0_voc/1")
    bench.choose(photos / "astronaut.jpg")
    is_said("2 objects found: 1 bicycle, 1 person")
    assert "2 objects found" in (bench.page.locator("#boxes").get_attribute("aria-label") or "")
    bench.slide("score", 0.95)
    is_said("No objects found")
    bench.page.select_option("#model", "efficientnet_lite0_imagenet/1")
    bench.choose(photos / "coffee.jpg")
    is_said("Most likely espresso, 95%")


def test_a_fault_is_said_at_once(bench: Bench, photos: Path) -> None:
    bench.expects_refusals = True
    bench.choose(photos / "README.md")
    alert = bench.page.get_by_role("alert")
    assert "not a photo that can be read" in alert.inner_text()


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(250, 248, 245)"), ("dark", "rgb(20, 18, 16)")]
)
def test_light_and_dark_are_the_systems(bench: Bench, scheme: Scheme, ground: str) -> None:
    bench.page.emulate_media(color_scheme=scheme)
    style = "getComputedStyle(document.documentElement)"
    assert bench.page.evaluate(f"{style}.backgroundColor") == ground
    meta = bench.page.locator("meta[name=color-scheme]")
    assert meta.get_attribute("content") == "light dark", "so that no white page comes first"


def test_motion_is_for_those_who_want_it(bench: Bench) -> None:
    running = "document.getAnimations().length"
    assert bench.page.evaluate(running) == 0
    bench.page.emulate_media(reduced_motion="no-preference")
    eventually(lambda: bench.page.evaluate(running) > 0, "something moves", 10)


def test_the_root_leads_here_and_the_api_is_a_step_away(bench: Bench) -> None:
    page = bench.page
    page.goto(bench.url)
    assert page.url == f"{bench.url}/playground"
    page.click("text=API reference")
    page.get_by_text("/v1/detect").first.wait_for()
    assert page.url == f"{bench.url}/docs"
