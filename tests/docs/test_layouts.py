"""docs/training.md lists the layouts that are read, and names those that are refused."""

import re

from models.datasets.layouts import CLASS_LAYOUTS, FOREIGN, LAYOUTS
from tests.docs.pages import DOCS


def test_the_page_has_every_layout_in_order() -> None:
    text = (DOCS / "training.md").read_text()
    table = text[text.index("| layout | recognised by |") :].split("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", table.replace("`", ""), re.MULTILINE)[1:]
    assert rows == [(layout.name, layout.files) for layout in (*LAYOUTS, *CLASS_LAYOUTS)]


def test_the_page_names_what_is_refused() -> None:
    text = (DOCS / "training.md").read_text()
    for name, _, _ in FOREIGN:
        assert name.removeprefix("a ") in text
