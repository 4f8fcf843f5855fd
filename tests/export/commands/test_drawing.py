"""Detections drawn in a terminal."""

import io

from PIL import Image
from rich.console import Console

from export.commands.drawing import picture, show_detections

ROWS = [{"box": [20, 10, 60, 30], "score": 0.9, "label": "cat", "label_id": 1}]


def test_picture_has_the_box_in_its_place() -> None:
    """80 x 40 pixels in 40 columns: the box spans columns 10 to 29 and pixel rows 5 to 14."""
    text = picture(Image.new("RGB", (80, 40), "black"), ROWS, columns=40)
    lines = text.split("\n")
    assert [len(line) for line in lines if line] == [40] * 10
    top = [str(lines[2].get_style_at_offset(Console(), x).bgcolor) for x in range(40)]
    assert [x for x, style in enumerate(top) if "#ff4040" in style] == list(range(10, 30))


def test_rows_are_listed_below() -> None:
    console = Console(file=io.StringIO(), width=80)
    show_detections(console, "cat.jpg", Image.new("RGB", (80, 40)), ROWS)
    show_detections(console, "[none].jpg", Image.new("RGB", (80, 40)), [])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "■ cat 0.90" in shown
    assert "[none].jpg" in shown
    assert "nothing is found in it" in shown
