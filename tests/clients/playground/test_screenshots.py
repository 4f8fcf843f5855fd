"""The README's pictures of the playground, made anew where BOXPORT_SCREENSHOTS is set."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.playground.conftest import DESKTOP, PHONE, OpenBench
from tests.paths import ROOT

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
COLOURS = 160
OWN_COLOURS = 48


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("playground-light.png", {"viewport": DESKTOP, "color_scheme": "light"}),
        (
            "playground-dark-phone.png",
            {"viewport": PHONE, "color_scheme": "dark", "device_scale_factor": 2},
        ),
    ],
)
def test_pictures_of_the_readme(open_bench: OpenBench, name: str, options: dict) -> None:
    bench = open_bench(**options)
    bench.wait_for_models()
    bench.answered(lambda: bench.page.click("text=Try the sample"))
    bench.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    taken = Image.open(io.BytesIO(bench.page.screenshot()))
    ratio = options.get("device_scale_factor", 1)
    assert taken.size == tuple(size * ratio for size in options["viewport"].values())
    if os.environ.get("BOXPORT_SCREENSHOTS"):
        write(taken, IMAGES / name)
    with Image.open(IMAGES / name) as kept:
        assert kept.size == taken.size
    assert (IMAGES / name).stat().st_size < MOST_BYTES


def write(picture: Image.Image, path: Path) -> None:
    """With few colours: the commonest as they are, for they are the page's own, and of the photo
    those that stand for most of it."""
    picture = picture.convert("RGB")
    counted = picture.getcolors(picture.width * picture.height) or []
    own = [colour for _, colour in sorted(counted, reverse=True)[:OWN_COLOURS]]
    of_photo = picture.quantize(COLOURS - OWN_COLOURS).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in own for part in colour] + of_photo)
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
