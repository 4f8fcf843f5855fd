"""A real service and a real browser, shared by the tests of the playground."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.clients.playground.bench import Bench
from tests.tools import need

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a camera that shows a pattern, and nobody to ask for leave
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}

OpenBench = Callable[..., Bench]


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Of a running service: that of BOXPORT_TEST_URL, or the tests' own."""
    given = os.environ.get("BOXPORT_TEST_URL")
    return given or request.getfixturevalue("exact_server").url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """No longer than a file: while Playwright lives, its event loop runs in this thread, and no
    other test in the process can run one of its own."""
    chromium = need("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def open_bench(browser: Browser, url: str) -> Iterator[OpenBench]:
    """Opens the playground in a new profile; at the end each must have kept the peace."""
    contexts: list[BrowserContext] = []
    opened: list[Bench] = []

    def open_one(url: str = url, **options: Any) -> Bench:
        options = {"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        contexts.append(browser.new_context(permissions=["camera"], **options))
        bench = Bench(contexts[-1].new_page(), url)
        opened.append(bench)
        bench.open()
        return bench

    yield open_one
    for bench in opened:
        bench.check_peace()
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def desk(browser: Browser) -> Iterator[Page]:
    """A page that tests use one after another: a new profile costs half a second."""
    context = browser.new_context(permissions=["camera"])
    yield context.new_page()
    context.close()


@pytest.fixture
def bench(desk: Page, url: str) -> Iterator[Bench]:
    """The playground on a desk, once it knows the models."""
    desk.set_viewport_size(DESKTOP)
    desk.emulate_media(color_scheme="light", reduced_motion="reduce")
    desk.mouse.move(0, 0)
    bench = Bench(desk, url)
    bench.open()
    bench.wait_for_models()
    yield bench
    bench.check_peace()
    bench.leave()
