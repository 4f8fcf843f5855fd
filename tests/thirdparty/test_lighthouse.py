"""Lighthouse, which simulates a phone on a slow network, is content with the pages."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import Server
from tests.thirdparty.tools import node_modules
from tests.tools import need

pytestmark = pytest.mark.full

CATEGORIES = {"performance", "accessibility", "best-practices", "seo"}
TRIES = 6  # of which the best counts: other work on the machine costs points of performance


def scores(url: str, folder: Path) -> dict[str, int]:
    """Of 100, in each category."""
    report = folder / "report.json"
    command = [
        node_modules() / ".bin" / "lighthouse",
        url,
        "--quiet",
        "--output=json",
        f"--output-path={report}",
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
    ]
    chromium = need("chromium", "chromium-browser", "google-chrome")
    environment = {**os.environ, "CHROME_PATH": chromium}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    categories = json.loads(report.read_text())["categories"]
    return {name: round(100 * category["score"]) for name, category in categories.items()}


@pytest.mark.parametrize(("page", "least"), [("playground", 95), ("docs", 80)])
def test_a_page_scores(server: Server, page: str, least: int, tmp_path: Path) -> None:
    best: dict[str, int] = {}
    for _ in range(TRIES):
        now = scores(f"{server.url}/{page}", tmp_path)
        assert now.keys() >= CATEGORIES
        best = {name: max(now[name], best.get(name, 0)) for name in CATEGORIES}
        if min(best.values()) >= least:
            break
    assert min(best.values()) >= least, best
    print(page, best)  # for docs/clients.md
