"""What a person is told when something goes wrong, and how it goes on from there."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.access.key_file import add_entry
from service.access.keys import new_key
from service.problems import KINDS
from tests.clients.playground.bench import Bench
from tests.clients.playground.conftest import OpenBench
from tests.e2e.server import launch, running_server, wait_until_ready

KEYS = (("reader", ["infer"], None), ("operator", ["admin"], None), ("slow", ["infer"], 0.5))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """URL and keys, by name, of a service that asks for them."""
    folder = tmp_path_factory.mktemp("guarded")
    texts = {}
    for name, scopes, rate in KEYS:
        texts[name], entry = new_key(name, scopes, rate, None if rate is None else 1)
        add_entry(folder / "keys.json", entry)
    with running_server(folder, keys_file=folder / "keys.json") as server:
        yield server.url, texts


@pytest.fixture
def locked(open_bench: OpenBench, guarded: tuple[str, dict[str, str]]) -> Bench:
    """The playground of a service that asks for keys, without one."""
    bench = open_bench(guarded[0])
    bench.expects_refusals = True
    bench.page.locator("#key-form").wait_for()
    return bench


def enter(bench: Bench, key: str) -> None:
    bench.page.fill("#key", key)
    bench.page.keyboard.press("Enter")


def test_every_code_has_words_of_its_own(bench: Bench) -> None:
    faults = bench.page.evaluate("async () => (await import('/playground/faults.js')).FAULTS")
    assert set(faults) == {*KINDS, "unknown"}
    for title, advice in faults.values():
        assert 8 < len(title) < 50
        assert advice.endswith(".")


def test_a_file_that_is_no_photo(bench: Bench, photos: Path) -> None:
    bench.expects_refusals = True
    bench.choose(photos / "cat.jpg")
    reply = bench.answered(lambda: bench.drop(photos / "README.md"))
    assert reply.status == 422
    assert bench.text("#fault-title") == "This is not a photo that can be read"
    assert "no image in a known format" in bench.text("#fault-detail")
    assert bench.page.locator("#retry").is_hidden(), "it would not do better"
    assert bench.rows() == []
    assert bench.page.locator("#empty").is_visible()
    bench.choose(photos / "cat.jpg")
    assert bench.page.locator("#fault").is_hidden()
    assert bench.rows() == [("cat", "97%")]


def test_a_service_that_asks_for_a_key(locked: Bench, guarded: tuple[str, dict[str, str]]) -> None:
    assert locked.text("#fault-title") == "This service needs a key"
    assert locked.page.evaluate("document.activeElement.id") == "key"
    enter(locked, "bxp_wrong")
    locked.page.locator("text=does not know the key").wait_for()
    enter(locked, guarded[1]["reader"])
    locked.wait_for_models()
    assert locked.page.locator("#fault").is_hidden()
    locked.answered(lambda: locked.page.click("text=Try the sample"))
    assert locked.rows() == [("cat", "96%")]


def test_a_key_stays_in_its_tab(locked: Bench, guarded: tuple[str, dict[str, str]]) -> None:
    key = guarded[1]["reader"]
    enter(locked, key)
    locked.wait_for_models()
    locked.answered(lambda: locked.page.click("text=Try the sample"))
    for tab, placeholder in (("curl", "$BOXPORT_API_KEY"), ("python", "BOXPORT_API_KEY")):
        locked.page.click(f"#tab-{tab}")
        assert placeholder in locked.text("#snippet-code")
        assert key not in locked.page.content()
    assert locked.page.evaluate("JSON.stringify(localStorage)") == "{}"
    assert locked.page.context.cookies() == []
    assert all(key not in request.url for request in locked.requests)
    locked.page.reload()
    locked.wait_for_models()
    locked.page.click("text=API key")
    locked.page.locator("#key-form").wait_for()
    assert locked.page.evaluate("JSON.stringify(sessionStorage)") == "{}"


def test_a_key_of_another_scope(locked: Bench, guarded: tuple[str, dict[str, str]]) -> None:
    enter(locked, guarded[1]["operator"])
    locked.page.locator("text=This key does not allow that").wait_for()
    assert "does not have the scope infer" in locked.text("#fault-detail")


def test_a_rate_counts_down_to_the_next_try(
    locked: Bench, guarded: tuple[str, dict[str, str]]
) -> None:
    """One request in two seconds: the first is for the models."""
    enter(locked, guarded[1]["slow"])
    locked.wait_for_models()
    reply = locked.answered(lambda: locked.page.click("text=Try the sample"))
    assert reply.status == 429
    assert locked.text("#fault-title") == "Too many requests"
    assert locked.page.locator("#retry").is_disabled()
    assert re.fullmatch(r"Try again in \d s", locked.text("#retry"))
    locked.page.locator("#retry:enabled").wait_for()
    assert locked.text("#retry") == "Try again"


@pytest.mark.full
def test_a_service_that_stops_and_comes_back(
    open_bench: OpenBench, tmp_path: Path, photos: Path
) -> None:
    with running_server(tmp_path) as server:
        bench = open_bench(server.url)
        bench.wait_for_models()
    bench.expects_refusals = True
    bench.page.set_input_files("#file", photos / "cat.jpg")
    bench.page.locator("text=The service cannot be reached").wait_for()
    again = launch(tmp_path, server.address[1])
    try:
        wait_until_ready(replace(server, process=again))
        bench.answered(lambda: bench.page.click("#retry"))
        assert bench.rows() == [("cat", "96%")]
        assert bench.page.locator("#fault").is_hidden()
    finally:
        again.terminate()
        again.wait(60)
