"""The golden pairs are what real services say, and what the description allows."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.clients.contract.record import ask, expectation, to_text
from tests.clients.contract.replay import CASES, read_cases
from tests.clients.contract.servers import SERVICES, guarded_service
from tests.e2e.server import Server
from tests.paths import ROOT

GOLDEN = read_cases()
API = json.loads((ROOT / "clients" / "openapi.json").read_text())
OWN = [name for name in GOLDEN if name != "bad_gateway"]  # the reply of a Boxport service
SCORE, SIDE = 0.001, 0.5
with_recorded_pixels = pytest.mark.skipif(
    find_spec("cykooz_resizer") is None,
    reason="the replies are recorded with the vector resizer; Pillow's pixels differ a little",
)
# Nothing is replied that is not described.
CLOSED = {
    name: {**schema, "additionalProperties": False} if "properties" in schema else schema
    for name, schema in API["components"]["schemas"].items()
}


@pytest.fixture
def default_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with guarded_service(tmp_path_factory.mktemp("guarded")) as url:
        yield url


def of(origin: str) -> list[str]:
    return [name for name, case in GOLDEN.items() if case["origin"] == origin]


@with_recorded_pixels
@pytest.mark.parametrize("name", of("default service"))
def test_service_replies_as_recorded(name: str, default_url: str) -> None:
    assert_same(ask(default_url, GOLDEN[name]), GOLDEN[name]["response"])


@pytest.mark.parametrize("name", of("guarded service"))
def test_guarded_service_replies_as_recorded(name: str, guarded_url: str) -> None:
    assert_same(ask(guarded_url, GOLDEN[name]), GOLDEN[name]["response"])


@pytest.mark.parametrize("name", GOLDEN)
def test_case_is_whole(name: str) -> None:
    case = GOLDEN[name]
    assert case["name"] == name
    assert case["origin"] in SERVICES or case["origin"].startswith("by hand: ")
    if case["origin"] in SERVICES:
        assert case["expect"] == expectation(case)
    text = (CASES / f"{name}.json").read_text("utf-8")
    assert text == to_text(case) + "\n", "python -m tests.clients.contract.record lays it out"


@pytest.mark.parametrize("name", OWN)
def test_request_is_described(name: str) -> None:
    request = GOLDEN[name]["request"]
    operation = API["paths"][request["path"]][request["method"].lower()]
    content_type = request["headers"].get("content-type")
    if content_type:
        body = operation["requestBody"]["content"][content_type]
        if "json" in request["body"]:
            assert_valid(request["body"]["json"], body["schema"])
    rows = [row for row in operation.get("parameters", ()) if row["in"] == "query"]
    lists = {row["name"] for row in rows if row["schema"]["type"] == "array"}
    if name != "unknown_parameter":
        assert request["query"].keys() <= {row["name"] for row in rows}
    assert {key for key, value in request["query"].items() if isinstance(value, list)} <= lists


@pytest.mark.parametrize("name", OWN)
def test_reply_is_described(name: str) -> None:
    request, response = GOLDEN[name]["request"], GOLDEN[name]["response"]
    operation = API["paths"][request["path"]][request["method"].lower()]
    described = operation["responses"][str(response["status"])]
    content_type = response["headers"]["content-type"]
    content = described["content"][content_type]
    assert_valid(response["body"], content["schema"])
    if response["status"] != 200:
        assert response["body"]["code"] in content["examples"]
        assert response["body"]["code"] in described["description"]
    headers = {header.lower() for header in described["headers"]}
    assert response["headers"].keys() - {"content-type"} <= headers


def test_there_is_a_case_of_each_kind_of_error() -> None:
    kinds = {case["expect"].get("error", {}).get("kind") for case in GOLDEN.values()}
    named = {"InvalidRequest", "Unauthorized", "RateLimited", "Overloaded", "ServerError"}
    assert kinds == {None, *named}


def assert_valid(value: Any, schema: Any) -> None:
    Draft202012Validator({**schema, "components": {"schemas": CLOSED}}).validate(value)


def assert_same(actual: Any, golden: Any, path: str = "") -> None:
    """Equal, but for what another processor makes of scores and boxes."""
    if isinstance(golden, dict):
        assert actual.keys() == golden.keys(), path
        for name, value in golden.items():
            assert_same(actual[name], value, f"{path}.{name}")
    elif isinstance(golden, list):
        assert len(actual) == len(golden), path
        for number, (one, other) in enumerate(zip(actual, golden, strict=True)):
            assert_same(one, other, f"{path}[{number}]")
    elif path.endswith(".score"):
        assert actual == pytest.approx(golden, abs=SCORE), path
    elif ".box[" in path:
        assert actual == pytest.approx(golden, abs=SIDE), path
    else:
        assert actual == golden, path
