"""docs/adopt.md lists the table of decoders as it is."""

import re

from export.adopt.decoders import DECODERS
from tests.docs.pages import DOCS


def test_page_lists_every_decoder() -> None:
    page = (DOCS / "adopt.md").read_text("utf-8")
    found = re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert found == [(row.name, row.title) for row in DECODERS.values()]
