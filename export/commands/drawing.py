"""Photos with their detections, drawn in a terminal: two pixels in each character."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from service.inference.task import Row

COLUMNS = 72
MOST = 8  # detections of a photo that are drawn
COLOURS = ("#ff4040", "#40ff40", "#40a0ff", "#ffff40", "#ff40ff", "#40ffff", "#ff9020", "#ffffff")


def show_detections(console: Console, name: str, photo: Image.Image, rows: Sequence[Row]) -> None:
    """Draw the best of ``rows``, boxes in the pixels of ``photo``, and list them below it."""
    console.print(f"[bold]{escape(name)}[/]", highlight=False)
    console.print(picture(photo, rows[:MOST]), end="")
    for row, colour in zip(rows, COLOURS, strict=False):
        console.print(f"[{colour}]■[/] {escape(row['label'])} {row['score']:.2f}", highlight=False)
    if not rows:
        console.print("nothing is found in it")


def picture(photo: Image.Image, rows: Sequence[Row], columns: int = COLUMNS) -> Text:
    """``photo`` with the boxes of ``rows``, of ``columns`` characters in a line."""
    scale = columns / photo.width
    small = photo.resize((columns, max(2, 2 * round(photo.height * scale / 2))))
    pen = ImageDraw.Draw(small)
    for row, colour in zip(rows, COLOURS, strict=False):
        left, top, right, bottom = (round(side * scale) for side in row["box"])
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour)
    text = Text()
    for y in range(0, small.height, 2):
        for x in range(columns):
            upper, lower = (small.getpixel((x, y + i)) for i in (0, 1))
            text.append("▀", f"{_hex(upper)} on {_hex(lower)}")
        text.append("\n")
    return text


def _hex(pixel: Any) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)
