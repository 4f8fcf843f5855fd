"""Links of the documentation lead somewhere, and to all of it."""

from pathlib import Path

import pytest

from tests.docs.pages import CLIENTS, DOCS, PAGES, README, anchors, links, named_paths, page_name
from tests.paths import ROOT


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_named_files_exist(page: Path) -> None:
    for path in named_paths(page):
        assert any(ROOT.glob(path.rstrip("/"))), path


def test_every_page_is_within_two_clicks_of_the_readme() -> None:
    reached = {README}
    for _ in range(2):
        reached |= {
            (page.parent / target.partition("#")[0]).resolve()
            for page in reached
            if page.suffix == ".md"
            for target in links(page)
        }
    assert set(PAGES) <= reached


def test_the_index_lists_every_page() -> None:
    index = DOCS / "README.md"
    listed = {(DOCS / target).resolve() for target in links(index)}
    assert {*DOCS.rglob("*.md"), *CLIENTS} - {index} <= listed
