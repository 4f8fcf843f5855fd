"""docs/comparison.md: its facts have sources, its ratios are those of docs/performance.md."""

import re

from tests.docs.pages import DOCS

PAGE = (DOCS / "comparison.md").read_text("utf-8")
PERFORMANCE = (DOCS / "performance.md").read_text("utf-8")
MODELS = ("EfficientDet-Lite0", "EfficientNet-Lite0")
PHOTOS = ("500 x 375", "12 megapixels")


def rows(title: str, text: str) -> list[list[str]]:
    """The cells of the table below a heading of the second level, without its two first lines."""
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_source_is_cited_and_given() -> None:
    given = re.findall(r"^\[([A-Z]\d+)\]: https://\S+$", PAGE, re.MULTILINE)
    cited = re.findall(r"\[([A-Z]\d+)\](?!:)", PAGE)
    assert sorted(given) == sorted(set(cited))


def test_the_table_has_a_cell_for_each_server() -> None:
    assert {len(row) for row in rows("What a detection service needs", PAGE)} == {9}


def test_ratios_are_those_that_were_measured() -> None:
    tables = [
        {row[0]: row[2] for row in rows(f"{model}, photos of {photos}", PERFORMANCE)}
        for model in MODELS
        for photos in PHOTOS
    ]
    told = rows("What was measured", PAGE)
    assert len(told) >= 6
    for server, *ratios in told:
        assert ratios == [table[server] for table in tables], server


def test_it_is_the_run_that_performance_tells_of() -> None:
    (date,) = re.findall(r"two processors of an AMD EPYC, (\d+ \w+ \d{4})\.", PAGE)
    assert f"on {date}." in PERFORMANCE
