"""Who may ask: keys, scopes and rates, on every path and however it is written; pages; headers."""

import json
import socket
from pathlib import Path

import httpx
import pytest

from service.access.key_file import add_entry, revoke_entry
from service.access.keys import new_key
from service.http.context import Route
from service.http.routes import ROUTES
from tests.e2e.conftest import Guarded
from tests.e2e.server import Server, eventually

JPEG = {"content-type": "image/jpeg"}
OPEN = [row for row in ROUTES if row.scope is None]
CLOSED = [row for row in ROUTES if row.scope is not None]


def path_of(row: Route) -> str:
    path = row.template.replace("{name}", "pets").replace("{version}", "1")
    path = path.replace("{action}", "pin").replace("client/{file}", "client/index.js")
    return path.replace("{file}", "index.css")


@pytest.mark.parametrize("row", OPEN, ids=lambda row: row.template)
def test_what_is_open_needs_no_key(guarded: Guarded, row: Route) -> None:
    assert guarded.ask(row.methods[0], path_of(row)).status_code in (200, 307)


@pytest.mark.parametrize("row", CLOSED, ids=lambda row: row.template)
def test_what_is_closed_needs_a_key(guarded: Guarded, row: Route) -> None:
    method, path = row.methods[0], path_of(row)
    for key in (None, "", "bxp_reader_wrong", guarded.reader[:-1]):
        reply = guarded.ask(method, path, key)
        assert reply.status_code == 401, reply.text
        assert reply.headers["www-authenticate"] == "Bearer"
    if row.scope == "admin":
        reply = guarded.ask(method, path, guarded.reader)
        assert reply.status_code == 403
        assert "does not have the scope admin" in reply.text


@pytest.mark.parametrize("end", ["%0A", "/", "%20", "//", "%2F", "%00", ";", "?x=1", "/."])
@pytest.mark.parametrize("row", CLOSED, ids=lambda row: row.template)
def test_no_other_way_of_writing_a_path_goes_round_the_key(
    guarded: Guarded, cat: bytes, row: Route, end: str
) -> None:
    """A router that reads a path more loosely than the gate would let it in."""
    method, path = row.methods[0], path_of(row) + end
    content = cat if method == "POST" else None
    reply = guarded.ask(method, path, content=content, headers=JPEG)
    # a GET may have the path of another route's template, which takes only POST: nothing is shown
    refusals = (401, 404, 405) if method == "GET" else (401, 404)
    assert reply.status_code in refusals, reply.text[:200]
    assert "pets" not in reply.text.replace(path, "").replace("/pets", "")
    if row.scope == "admin":
        reply = guarded.ask(method, path, guarded.reader, content=content, headers=JPEG)
        assert reply.status_code in (403, 404), reply.text[:200]


def test_a_key_opens_by_either_header(guarded: Guarded, cat: bytes) -> None:
    for headers in (
        {"x-api-key": guarded.reader},
        {"authorization": f"Bearer {guarded.reader}"},
        {"authorization": f"bearer {guarded.reader}"},
    ):
        reply = guarded.ask("POST", "/v1/classify", content=cat, headers={**JPEG, **headers})
        assert reply.json()["model"]["name"] == "pets"


def test_a_caller_without_a_key_is_told_before_the_body_has_come(guarded: Guarded) -> None:
    reply = reply_to_head(
        guarded.server, "POST /v1/detect", "Content-Type: image/jpeg", "Content-Length: 50000000"
    )
    assert reply.startswith("HTTP/1.1 401 ")


def test_keys_come_and_go_while_the_service_runs(guarded: Guarded) -> None:
    text, entry = new_key("guest", ["infer"])
    assert guarded.ask("GET", "/v1/models", text).status_code == 401
    add_entry(guarded.keys_file, entry)
    eventually(lambda: guarded.ask("GET", "/v1/models", text).status_code == 200, "it is known")
    revoke_entry(guarded.keys_file, "guest")
    eventually(lambda: guarded.ask("GET", "/v1/models", text).status_code == 401, "it is void")


def test_a_broken_file_of_keys_changes_nothing(guarded: Guarded) -> None:
    content = guarded.keys_file.read_text()
    try:
        guarded.keys_file.write_text(content[:-5])
        eventually(
            lambda: (
                guarded.ask("GET", "/v1/models", guarded.reader).status_code == 200
                and "the keys stay what they were" in guarded.server.log.read_text()
            ),
            "the fault is logged",
        )
        assert guarded.ask("GET", "/v1/models", "wrong").status_code == 401
    finally:
        guarded.keys_file.write_text(content)


def test_a_rate_is_kept_and_says_when_to_come_again(guarded: Guarded, cat: bytes) -> None:
    replies = [guarded.ask("GET", "/v1/models", guarded.rare) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    refused = replies[-1]
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["retryable"] is True
    assert 30 < int(refused.headers["retry-after"]) <= 50
    head = f"X-API-Key: {guarded.rare}"
    reply = reply_to_head(guarded.server, "POST /v1/detect", head, "Content-Length: 50000000")
    assert reply.startswith("HTTP/1.1 429 "), "before the body has come"
    assert guarded.ask("GET", "/v1/models", guarded.reader).status_code == 200


def test_without_keys_nobody_is_an_admin(http: httpx.Client) -> None:
    reply = http.post("/v1/models/efficientdet_lite0_voc/1/unload")
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert "BOXPORT_KEYS_FILE" in reply.json()["detail"]
    assert http.get("/v1/models").status_code == 200


def test_pages_of_one_origin_may_call(guarded: Guarded) -> None:
    shop, other = {"origin": "https://shop.example"}, {"origin": "https://other.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = guarded.ask("OPTIONS", "/v1/detect", headers={**shop, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()
    refused = guarded.ask("POST", "/v1/detect", headers=shop)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    assert "X-Request-ID" in refused.headers["access-control-expose-headers"]
    for reply in (
        guarded.ask("OPTIONS", "/v1/detect", headers={**other, **asked}),
        guarded.ask("GET", "/v1/models", guarded.reader, headers=other),
    ):
        assert "access-control-allow-origin" not in reply.headers


def test_without_origins_no_page_may_call(http: httpx.Client) -> None:
    reply = http.get("/v1/models", headers={"origin": "https://shop.example"})
    assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/livez", 200), ("/nothing", 404), ("/v1/detect", 405)]
)
def test_every_reply_has_the_headers_that_all_have(
    http: httpx.Client, path: str, status: int
) -> None:
    reply = http.get(path, headers={"X-Request-ID": "my-id.1"})
    assert reply.status_code == status
    assert reply.headers["x-request-id"] == "my-id.1"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "server" not in reply.headers
    page = reply.headers["content-type"].startswith("text/html")
    assert (
        page == ("content-security-policy" in reply.headers) == ("x-frame-options" in reply.headers)
    )


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b', "ä"])
def test_an_id_that_could_do_harm_is_replaced(http: httpx.Client, given: str) -> None:
    reply = http.get("/v1/models/nothing", headers={"X-Request-ID": given.encode()})
    new = reply.headers["x-request-id"]
    assert len(new) == 32
    assert reply.json()["request_id"] == new


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        ("POST /v1/detect", ["Content-Type: image/jpeg", "Content-Length: 3", "", "abc"]),
        ("POST /v1/detect", ["Content-Type: application/json", "Content-Length: 2", "", "[1"]),
        ("POST /v1/detect", ["Content-Type: multipart/form-data; boundary=%", "Content-Length: 0"]),
        ("POST /v1/detect", ["X-Request-Timeout-Ms: " + "9" * 5000, "Content-Length: 0"]),
        ("POST /v1/detect?model=%FF%00", ["Content-Type: image/jpeg", "Content-Length: 0"]),
        ("GET /v1/models/%FF%FE", []),
        ("GET /v1/models/..%2f..%2fetc%2fpasswd", []),
        ("GET /static_content/..%2f..%2fapp.py", []),
        ("GET /metrics", ["Accept: application/openmetrics-text; version=x"]),
        ("BREW /v1/detect", []),
    ],
)
def test_no_fault_shows_the_inside(server: Server, head: str, lines: list[str]) -> None:
    reply = reply_to_head(server, head, *lines)
    assert reply.startswith("HTTP/1.1 "), reply
    assert int(reply.split()[1]) != 500, reply
    for inside in ("Traceback", "site-packages", '.py"', "service.", str(Path.cwd())):
        assert inside not in reply


def reply_to_head(server: Server, head: str, *lines: str) -> str:
    """What the server replies to a request of which only this is sent, and no body after it."""
    text = "\r\n".join([f"{head} HTTP/1.1", "Host: x", *lines])
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(text.encode() + (b"" if "" in lines else b"\r\n\r\n"))
        received = b""
        while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
            received += chunk
        return received.decode()


def test_the_log_tells_who_asked_and_no_key(guarded: Guarded) -> None:
    guarded.ask("GET", "/v1/models/nothing", guarded.reader, headers={"X-Request-ID": "look-here"})
    eventually(lambda: "look-here" in guarded.server.log.read_text(), "it is logged")
    log = guarded.server.log.read_text()
    line = json.loads(next(line for line in log.splitlines() if "look-here" in line))
    assert (line["caller"], line["status"]) == ("reader", 404)
    assert line["route"] == "/v1/models/{name}"
    for key in (guarded.reader, guarded.operator, guarded.rare):
        assert key not in log
