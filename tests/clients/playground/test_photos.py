"""The ways by which a photo comes to the page."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.playground.bench import Bench

BY = "\N{MULTIPLICATION SIGN}"


def test_the_sample(bench: Bench) -> None:
    bench.answered(lambda: bench.page.click("text=Try the sample"))
    assert bench.rows() == [("cat", "97%")]
    assert bench.text("#results-title") == "1 object"
    assert f"451 {BY} 300" in bench.text("#photo-facts")


def test_a_photo_that_is_pasted(bench: Bench, photos: Path) -> None:
    """Through the clipboard itself."""
    picture = io.BytesIO()
    Image.open(photos / "cat.jpg").save(picture, "PNG")
    bench.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bench.page.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const blob = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        base64.b64encode(picture.getvalue()).decode(),
    )
    bench.answered(lambda: bench.page.keyboard.press("Control+V"))
    assert bench.rows()[0][0] == "cat"


def test_text_that_is_pasted_is_no_photo(bench: Bench) -> None:
    bench.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bench.page.evaluate("navigator.clipboard.writeText('a cat')")
    bench.page.keyboard.press("Control+V")
    bench.page.wait_for_selector("#fault:not([hidden])")
    assert "no photo in the clipboard" in bench.text("#fault")
    assert bench.questions == []


def test_a_photo_of_the_camera(bench: Bench) -> None:
    bench.page.click(".empty [data-act=camera]")
    bench.page.wait_for_selector("#camera-take:enabled")
    reply = bench.answered(lambda: bench.page.click("#camera-take"))
    assert reply.ok
    assert bench.text("#photo-name") == "camera.jpg"
    view = "document.getElementById('camera-view')"
    assert bench.page.evaluate(f"{view}.srcObject") is None, "the camera is off again"
    assert not bench.page.locator("#camera").is_visible()


def test_a_camera_that_is_closed_is_off(bench: Bench) -> None:
    bench.page.click(".empty [data-act=camera]")
    bench.page.wait_for_selector("#camera-take:enabled")
    tracks = bench.page.evaluate_handle(
        "document.getElementById('camera-view').srcObject.getTracks()"
    )
    bench.page.keyboard.press("Escape")
    bench.page.locator("#camera").wait_for(state="hidden")
    states = tracks.evaluate("(tracks) => tracks.map((track) => track.readyState)")
    assert set(states) == {"ended"}
    assert bench.questions == []


def test_of_several_the_first_is_taken(bench: Bench, photos: Path) -> None:
    bench.answered(lambda: bench.drop(photos / "cat.jpg", photos / "coffee.jpg"))
    assert bench.text("#photo-name") == "cat.jpg"
    assert "1 more ignored" in bench.text("#photo-facts")
    assert len(bench.questions) == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_lies_upright(bench: Bench, photos: Path, tmp_path: Path, orientation: int) -> None:
    """The browser and the service turn it alike."""
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(photos / "cat.jpg").save(turned, exif=exif)
    bench.choose(turned)
    (answer,) = bench.answer()["results"]
    pixels = bench.pixels("photo")
    assert (pixels.shape[1] > pixels.shape[0]) == (answer["width"] > answer["height"])
    assert f"{answer['width']} {BY} {answer['height']}" in bench.text("#photo-facts")
    assert (answer["width"] > answer["height"]) == (orientation == 1)


def test_a_format_that_browsers_do_not_show(bench: Bench, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "cat.tiff"
    Image.open(photos / "cat.jpg").save(file)
    bench.choose(file)
    assert bench.rows()[0][0] == "cat"
    assert "this browser cannot show it" in bench.text("#photo-facts")
    pixels = bench.pixels("boxes")
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(451 / 300, rel=0.01)
    assert pixels[..., 3].any()


def test_a_photo_may_follow_another(bench: Bench, photos: Path) -> None:
    bench.choose(photos / "astronaut.jpg")
    assert len(bench.rows()) == 3
    bench.choose(photos / "cat.jpg")
    assert bench.rows() == [("cat", "97%")]
