"""Whatever is wrong with a request to /v2 is named, in the protocol's own shape of an error."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.e2e.server import Server
from tests.e2e.v2_tensors import DETECTOR, encoded

INFER = f"/v2/models/{DETECTOR}/infer"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


def test_the_clients_own_error_says_what_is_wrong(
    client: triton.InferenceServerClient, cat: bytes
) -> None:
    def error_of(*inputs: triton.InferInput, **options: Any) -> InferenceServerException:
        with pytest.raises(InferenceServerException) as caught:
            client.infer(DETECTOR, list(inputs), **options)
        return caught.value

    bad = error_of(encoded([cat, b"no photo"]))
    assert (bad.status(), bad.message()[:25]) == ("422", "invalid_image: image[1]: ")
    unknown = error_of(encoded([cat]), parameters={"treshold": 1})
    assert (unknown.status(), "'treshold'" in unknown.message()) == ("422", True)
    late = error_of(encoded([cat]), timeout=1)
    assert (late.status(), late.message()[:18]) == ("504", "deadline_exceeded:")
    label = error_of(encoded([cat]), parameters={"labels": "unicorn"})
    assert (label.status(), "unicorn" in label.message()) == ("422", True)
    many = error_of(encoded([cat] * 33))
    assert (many.status(), many.message()[:16]) == ("413", "too_many_images:")


JSON = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["YWJj"]}]}
BINARY = {
    "inputs": [
        {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"binary_data_size": 8},
        }
    ]
}


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 400, "malformed_body"),
        (b"{", {}, 400, "malformed_body"),
        (b"[]", {}, 400, "malformed_body"),
        (b"[" * 100_000, {}, 400, "malformed_body"),
        (json.dumps(JSON), {}, 422, "invalid_image"),
        (json.dumps(BINARY), {}, 400, "malformed_body"),
        (json.dumps(BINARY) + "\xff\xff\xff\xffabcd", {"length": -8}, 400, "malformed_body"),
        (json.dumps(BINARY), {"length": "-1"}, 400, "malformed_body"),
        (json.dumps(BINARY), {"length": "9" * 4000}, 400, "malformed_body"),
        (json.dumps(JSON), {"Content-Encoding": "gzip"}, 400, "malformed_body"),
        (json.dumps(JSON), {"Content-Encoding": "br"}, 415, "unsupported_media_type"),
        (zlib.compress(b"{}"), {"Content-Encoding": "deflate"}, 400, "malformed_body"),
        (b'{"inputs": [' + b"0," * 2_000_001 + b"0]}", {}, 413, "body_too_large"),
    ],
)
def test_hostile_bodies(
    http: httpx.Client, content: bytes | str, headers: dict, status: int, code: str
) -> None:
    body = content if isinstance(content, bytes) else content.encode("latin-1")
    if "length" in headers:
        length = headers["length"]
        length = str(len(body) + length) if isinstance(length, int) else length
        headers = {"Inference-Header-Content-Length": length}
    response = http.post(INFER, content=body, headers=headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (message,) = response.json().values()
    assert list(response.json()) == ["error"]
    assert message.startswith(f"{code}: ")
    assert len(message) < 400
    assert response.headers["x-request-id"]


def test_bodies_are_limited_after_they_are_inflated(strict_server: Server) -> None:
    url = f"{strict_server.url}{INFER}"
    for encoding, bomb in (
        ("gzip", gzip.compress(bytes(20_000_000))),
        ("deflate", zlib.compress(bytes(20_000_000))),
    ):
        assert len(bomb) < 200_000
        response = httpx.post(url, content=bomb, headers={"Content-Encoding": encoding})
        assert response.status_code == 413
        assert response.json()["error"].startswith("body_too_large: ")
    assert httpx.post(url, content=bytes(200_001)).status_code == 413


def test_overload_can_be_tried_again(strict_server: Server, cat: bytes) -> None:
    """The strict server has room for three images; a request of three holds it all."""
    url = strict_server.url.removeprefix("http://")
    with triton.InferenceServerClient(url, concurrency=12) as client:
        image = encoded([cat] * 3)
        pending = [client.async_infer(DETECTOR, [image]) for _ in range(12)]
        errors = []
        for one in pending:
            try:
                one.get_result()
            except InferenceServerException as error:
                errors.append(error)
        assert 0 < len(errors) < 12
        assert {error.status() for error in errors} == {"503"}
        assert errors[0].message().startswith("overloaded: ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", INFER, 405, "POST"),
        ("POST", "/v2", 405, "GET, HEAD"),
        ("POST", f"/v2/models/{DETECTOR}", 405, "GET, HEAD"),
        ("GET", "/v2/repository/index", 405, "POST"),
        ("GET", "/v2/nothing", 404, None),
        ("GET", f"/v2/models/{DETECTOR}/versions/9/config", 404, None),
    ],
)
def test_paths_and_methods_that_are_not_there(
    http: httpx.Client, method: str, path: str, status: int, allowed: str | None
) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.headers.get("allow")) == (status, allowed)


def test_requests_are_counted_by_route_and_model(http: httpx.Client, cat: bytes) -> None:
    http.post(INFER, content=b"{")
    metrics = http.get("/metrics").text
    rows = [line for line in metrics.splitlines() if 'route="/v2/models/{name}/infer"' in line]
    asked = [row for row in rows if f'model="{DETECTOR}"' in row]
    assert any('status="400"' in row and 'reason="malformed_body"' in row for row in asked)
