"""The service below a path, behind a real proxy that strips it and one that does not."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from boxport_client import Client

from service.http.context import Route
from service.http.routes import ROUTES
from tests.docs.pages import DOCS, blocks
from tests.e2e.server import Server, eventually, free_port, running_server
from tests.e2e.test_pages import BROWSER
from tests.packages import CLASSIFIER, copy_package
from tests.tools import need

ROOT_PATH = "/vision/detector"
[PROXY] = blocks(DOCS / "proxy.md", "haproxy")
STRIPS = next(line for line in PROXY.splitlines() if "replace-path" in line)


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("below")
    copy_package(store / CLASSIFIER / "1", folder / "store", CLASSIFIER, 1)
    settings = {"root_path": ROOT_PATH, "model_store": folder / "store"}
    with running_server(folder, **settings) as running:
        yield running


@pytest.fixture(scope="module", params=["strips", "keeps"])
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, below: Server
) -> Iterator[str]:
    """The public address of the service, behind a proxy as docs/proxy.md has it."""
    haproxy, port = need("haproxy"), free_port()
    host, own = below.address
    lines = PROXY.replace(":8080", f"127.0.0.1:{port}").replace("127.0.0.1:3000", f"{host}:{own}")
    file = tmp_path_factory.mktemp("proxy") / "haproxy.cfg"
    file.write_text(lines if request.param == "strips" else lines.replace(STRIPS, ""))
    process = subprocess.Popen([haproxy, "-db", "-f", file])
    public = f"http://127.0.0.1:{port}{ROOT_PATH}"
    try:
        eventually(lambda: httpx.get(f"{public}/readyz").is_success, "the proxy answers")
        yield public
    finally:
        process.terminate()
        process.wait()


def path_of(row: Route) -> str:
    return (
        row.template.replace("{name}", CLASSIFIER)
        .replace("{version}", "1")
        .format(action="load", file="main.js" if "playground" in row.template else "swagger-ui.css")
    )


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: row.template)
def test_every_route_answers_as_it_does_without_a_proxy(
    below: Server, url: str, row: Route
) -> None:
    method, path = row.methods[0], path_of(row)
    direct, proxied = (httpx.request(method, start + path) for start in (below.url, url))
    assert proxied.status_code == direct.status_code
    assert proxied.headers.get("content-type") == direct.headers.get("content-type")
    if direct.headers.get("content-type") == "application/json":
        assert [*proxied.json()] == [*direct.json()]  # of objects, their members


def test_an_answer_comes_through_the_sdk(url: str, photos: Path) -> None:
    with Client(url) as client:
        assert client.classify(photos / "coffee.jpg").best.label == "espresso"


def test_a_person_is_led_to_the_playground_and_its_files(url: str) -> None:
    for start in (url, f"{url}/", f"{url}/playground/"):
        page = httpx.get(start, headers=BROWSER, follow_redirects=True)
        assert str(page.url) == f"{url}/playground"
    script = urljoin(str(page.url), "playground/main.js")
    assert httpx.get(script).headers["content-type"].startswith("text/javascript")


def test_links_and_the_description_name_public_addresses(url: str) -> None:
    for start in (url, f"{url}/"):
        for name, link in httpx.get(start).json()["links"].items():
            expected = 405 if name in ("detect", "classify") else 200
            assert httpx.get(urljoin(start, link)).status_code == expected, name
    assert httpx.get(f"{url}/docs.json").json()["servers"] == [{"url": ROOT_PATH}]


def test_a_problem_names_paths_that_can_be_asked(url: str) -> None:
    detail = httpx.get(f"{url}/v1/nothing").json()["detail"]
    assert f"nothing at {ROOT_PATH}/v1/nothing; there are POST {ROOT_PATH}/v1/detect" in detail
    assert f"{ROOT_PATH}/livez takes GET" in httpx.post(f"{url}/livez").json()["detail"]
    assert httpx.get(f"{url}/v2/nothing").json().keys() == {"error"}


def test_only_whole_parts_of_the_path_are_stripped(below: Server) -> None:
    for path in (f"{ROOT_PATH}x/livez", f"{ROOT_PATH}{ROOT_PATH}/livez", "/vision/livez"):
        assert httpx.get(below.url + path).status_code == 404
