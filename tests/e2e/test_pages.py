"""The pages over HTTP: what is served, with which headers, and what leads there."""

import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server
from tests.paths import ROOT

FOLDER = ROOT / "service" / "playground"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
FILES = [file for file in sorted(FOLDER.rglob("*.*")) if file.suffix in TYPES]
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_slash_at_the_end_leads_to_the_playground(
    http: httpx.Client, strict_server: Server
) -> None:
    reply = http.get("/playground/", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (307, "../playground")
    assert http.get("/playground/", follow_redirects=True).url.path == "/playground"
    assert httpx.get(f"{strict_server.url}/playground/").status_code == 404


def test_a_person_is_led_to_the_playground(http: httpx.Client) -> None:
    reply = http.get("/", headers=BROWSER)
    assert reply.status_code == 307
    assert reply.headers["location"] == "playground", "relative: a proxy may add a prefix"
    assert reply.headers["vary"].split(", ")[0] == "Accept"
    page = http.get("/", headers=BROWSER, follow_redirects=True)
    assert page.url.path == "/playground"
    assert "<title>Boxport playground</title>" in page.text


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_a_program_gets_links_that_lead_somewhere(http: httpx.Client, accept: str) -> None:
    reply = http.get("/", headers={"accept": accept})
    assert reply.status_code == 200
    assert reply.headers["vary"].split(", ")[0] == "Accept"
    links = reply.json()["links"]
    assert {"playground", "documentation", "description", "models", "health"} <= links.keys()
    for name, link in links.items():
        expected = 405 if name in ("detect", "classify") else 200
        assert http.get(reply.url.join(link)).status_code == expected, name


def test_the_page_may_load_nothing_but_what_the_service_serves(http: httpx.Client) -> None:
    page = http.get("/playground")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "camera=(self)" in page.headers["permissions-policy"]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"""\s(on\w+|style)=|<style|<script(?![^>]*\ssrc=)""", page.text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_its_type_and_is_kept_by_browsers(http: httpx.Client, file: Path) -> None:
    path = f"/playground/{file.relative_to(FOLDER).as_posix()}"
    reply = http.get(path)
    assert reply.content == file.read_bytes()
    assert reply.headers["content-type"] == TYPES[file.suffix]
    assert reply.headers["cache-control"] == "no-cache"
    again = http.get(path, headers={"if-none-match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    plain = http.head(path, headers={"accept-encoding": "identity"})
    assert plain.headers["content-length"] == str(len(reply.content))


def test_the_page_of_the_api_names_its_files_by_their_hashes(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.headers["cache-control"] == "no-cache"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    links = re.findall(r'="((?:docs|static_content)[^"]*\?v=[0-9a-f]{16})"', page.text)
    assert len(links) == 3
    for link in links:
        reply = http.get(link)
        assert reply.status_code == 200
        assert "immutable" in reply.headers["cache-control"]
    first = len(page.content) + len(http.get("/docs.js").content)
    assert first < 10_000, "what is loaded before a reader asks for Swagger UI"


@pytest.mark.parametrize("path", ["/docs", "/docs.js", "/docs.json", "/v1/models", "/metrics"])
def test_text_is_compressed_for_who_takes_it(http: httpx.Client, path: str) -> None:
    plain = http.get(path, headers={"accept-encoding": "gzip;q=0, br"})
    assert "content-encoding" not in plain.headers
    reply = http.get(path, headers={"accept-encoding": "gzip;q=0.5, *;q=0.1"})
    assert reply.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == reply.headers["vary"] == "Accept-Encoding"
    if path != "/metrics":  # which has changed
        assert reply.content == plain.content
    assert int(reply.headers["content-length"]) < 0.5 * len(plain.content)


def test_pictures_and_answers_about_images_are_not(http: httpx.Client, cat: bytes) -> None:
    for reply in (
        http.get("/playground/sample.jpg"),
        http.post("/v1/classify?top_k=100", content=cat, headers={"content-type": "image/jpeg"}),
    ):
        assert reply.status_code == 200
        assert len(reply.content) > 1000
        assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(
    "path",
    [
        "/playground//",
        "/playground/nothing.js",
        "/playground/client/nothing.js",
        "/playground/client",
        "/playground/index.html",
        "/playground/api.html",
        "/playground/..%2fapp.py",
        "/playground/client/..%2f..%2fapp.py",
        "/playground/%2e%2e/app.py",
        "/playground/client/../../app.py",
        "/playground/main.js%00.css",
    ],
)
def test_nothing_else_is_there(http: httpx.Client, path: str) -> None:
    reply = http.get(path)
    assert reply.status_code == 404
    assert reply.json()["code"] == "not_found"


def test_metrics_name_the_route_and_not_the_file(server: Server, http: httpx.Client) -> None:
    for name in ("main.js", "made-up-1.js", "made-up-2.js"):
        http.get(f"/playground/{name}")
    routes = server.metrics().values("route")
    assert "/playground/{file}" in routes
    assert not any("made-up" in route for route in routes)


def test_an_operator_may_close_it(strict_server: Server) -> None:
    for path in ("/playground", "/playground/main.js", "/playground/client/index.js"):
        reply = httpx.get(strict_server.url + path)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    root = httpx.get(strict_server.url, headers=BROWSER)
    assert root.status_code == 200
    assert "playground" not in root.json()["links"]
    assert httpx.get(f"{strict_server.url}/docs").status_code == 200
