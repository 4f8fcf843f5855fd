"""Whatever is wrong with a request is named in a problem details reply, and costs nobody else."""

import base64
import http.client
import socket
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests.e2e.server import Server

JPEG = {"content-type": "image/jpeg"}


def assert_problem(response: httpx.Response, status: int, code: str, words: str = "") -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert words in problem["detail"]
    assert problem["title"]
    assert problem["retryable"] is False
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (b"", 400, "empty_body", "no image"),
        (b"hello", 422, "invalid_image", "no image in a known format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), 422, "invalid_image", "image"),
        (b"GIF89a", 422, "invalid_image", "image"),
    ],
    ids=["empty body", "text", "only the start of a PNG", "only the start of a GIF"],
)
def test_body_that_is_no_image(
    http: httpx.Client, content: bytes, status: int, code: str, words: str
) -> None:
    assert_problem(http.post("/v1/detect", content=content, headers=JPEG), status, code, words)


def test_truncated_photo(http: httpx.Client, cat: bytes) -> None:
    response = http.post("/v1/detect", content=cat[: len(cat) // 2], headers=JPEG)
    assert_problem(response, 422, "invalid_image", "cut short")


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "words"),
    [
        ("detect", "model=nothing", 404, "model_not_found", "efficientdet_lite0_voc"),
        ("detect", "model=efficientdet_lite0_voc/9", 404, "model_not_found", "/9"),
        ("detect", "model=efficientnet_lite0_imagenet", 422, "wrong_task", "classification"),
        ("classify", "model=efficientdet_lite0_voc", 422, "wrong_task", "detection"),
        ("detect", "treshold=0.5", 422, "unknown_parameter", "treshold"),
        ("classify", "score_threshold=0.5", 422, "unknown_parameter", "top_k"),
        ("detect", "score_threshold=1.5", 422, "invalid_parameter", "score_threshold"),
        ("detect", "score_threshold=", 422, "invalid_parameter", "score_threshold"),
        ("detect", "iou_threshold=-1", 422, "invalid_parameter", "iou_threshold"),
        ("detect", "max_detections=0", 422, "invalid_parameter", "max_detections"),
        ("detect", "max_detections=many", 422, "invalid_parameter", "max_detections"),
        ("detect", "labels=unicorn", 422, "invalid_parameter", "unicorn"),
        ("detect", "score_threshold=.1&score_threshold=.2", 422, "invalid_parameter", "twice"),
        ("classify", "top_k=1001", 422, "invalid_parameter", "1000"),
        ("classify", "top_k=0", 422, "invalid_parameter", "top_k"),
    ],
)
def test_parameter_that_is_wrong(
    http: httpx.Client, cat: bytes, path: str, query: str, status: int, code: str, words: str
) -> None:
    response = http.post(f"/v1/{path}?{query}", content=cat, headers=JPEG)
    assert_problem(response, status, code, words)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"{", "malformed_body", "JSON"),
        (b"[]", "malformed_body", "images"),
        (b"{}", "malformed_body", "images"),
        (b'{"images": "cat.jpg"}', "malformed_body", "images"),
        (b'{"images": []}', "empty_body", "no image"),
        (b'{"images": [{"base64": "!!"}]}', "invalid_image", "base64"),
        (b'{"images": [{"base64": 3}]}', "invalid_image", "string"),
        (b'{"images": [{"path": "/etc/passwd"}]}', "invalid_image", "base64"),
        (b'{"images": [{"base64": "AA==", "url": "x"}]}', "invalid_image", "base64"),
        (b'{"images": ["AA=="]}', "invalid_image", "base64"),
        (b'{"images": [{"base64": ""}]}', "empty_image", "0 bytes"),
        (b'{"images": [{"base64": "AA=="}], "score_threshold": NaN}', "malformed_body", "JSON"),
        (b"\xff\xfe", "malformed_body", "JSON"),
    ],
)
def test_json_that_is_wrong(http: httpx.Client, body: bytes, code: str, words: str) -> None:
    response = http.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    status = 400 if code in ("malformed_body", "empty_body") else 422
    assert_problem(response, status, code, words)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x.jpg", "file:///etc/passwd", "http://169.254.169.254/"]
)
def test_urls_are_not_fetched(http: httpx.Client, url: str) -> None:
    response = http.post("/v1/detect", json={"images": [{"url": url}]})
    assert_problem(response, 403, "url_not_allowed", "bytes")


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("text/plain", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("", 415, "unsupported_media_type"),
        ("multipart/form-data", 400, "malformed_body"),
        ("multipart/form-data; boundary=xyz", 400, "malformed_body"),
    ],
)
def test_content_type_that_does_not_fit(
    http: httpx.Client, cat: bytes, content_type: str, status: int, code: str
) -> None:
    response = http.post("/v1/detect", content=cat, headers={"content-type": content_type})
    assert_problem(response, status, code)


def test_pickles_are_refused(http: httpx.Client, cat: bytes) -> None:
    """By BentoML itself, before the service sees the request, so in BentoML's words."""
    headers = {"content-type": "application/vnd.bentoml+pickle"}
    assert http.post("/v1/detect", content=cat, headers=headers).status_code == 415


def test_form_with_the_wrong_file_field(http: httpx.Client, cat: bytes) -> None:
    response = http.post("/v1/detect", files={"image": ("cat.jpg", cat)})
    assert_problem(response, 422, "unknown_parameter", "'image'")


def test_form_with_a_path_in_place_of_a_file(http: httpx.Client) -> None:
    files = {"images": (None, "cat.jpg")}
    assert_problem(http.post("/v1/detect", files=files), 422, "invalid_parameter", "images")


def test_form_without_an_image(http: httpx.Client) -> None:
    response = http.post("/v1/detect", files={"score_threshold": (None, "0.5")})
    assert_problem(response, 400, "empty_body")


def test_parameter_in_the_form_and_in_the_query(http: httpx.Client, cat: bytes) -> None:
    response = http.post(
        "/v1/detect?score_threshold=0.1", files={"images": cat}, data={"score_threshold": "0.2"}
    )
    assert_problem(response, 422, "invalid_parameter", "score_threshold")


def test_bad_images_do_not_cost_their_neighbours(http: httpx.Client, cat: bytes) -> None:
    encoded = base64.b64encode(cat).decode()
    images = [
        {"base64": encoded},
        {"base64": base64.b64encode(b"no photo").decode()},
        {"url": "http://example.com/cat.jpg"},
        {"base64": encoded},
        {"base64": ""},
    ]
    response = http.post("/v1/detect", json={"images": images})
    assert response.status_code == 200
    results = response.json()["results"]
    alone = http.post("/v1/detect", content=cat, headers=JPEG).json()["results"][0]
    assert [result.get("error", {}).get("code") for result in results] == [
        None,
        "invalid_image",
        "url_not_allowed",
        None,
        "empty_image",
    ]
    assert results[0]["detections"][0]["score"] == pytest.approx(
        alone["detections"][0]["score"], abs=1e-5
    )
    assert results[3]["detections"][0]["label"] == "cat"


def test_too_many_pixels(strict_server: Server, photos: Path) -> None:
    photo = (photos / "galaxies.jpg").read_bytes()  # 600 x 500, exactly the limit
    url = f"{strict_server.url}/v1/detect"
    assert httpx.post(url, content=photo, headers=JPEG).status_code == 200
    slightly_larger = BytesIO()
    Image.new("1", (600, 501)).save(slightly_larger, "PNG")
    response = httpx.post(url, content=slightly_larger.getvalue(), headers=JPEG)
    assert_problem(response, 413, "image_too_large", "600 x 501 = 300600")


def test_too_many_bytes(strict_server: Server) -> None:
    response = httpx.post(f"{strict_server.url}/v1/detect", content=bytes(200_001), headers=JPEG)
    assert_problem(response, 413, "body_too_large", "200000")


def test_too_many_bytes_in_chunks_of_unstated_length(strict_server: Server) -> None:
    sent = 0

    def chunks():
        nonlocal sent
        while sent < 50_000_000:
            sent += 50_000
            yield bytes(50_000)

    connection = http.client.HTTPConnection(urlsplit(strict_server.url).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/detect", body=chunks(), headers=JPEG, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server need not read on
    else:
        assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("path", ["/v1/detect", "/v2/models/efficientdet_lite0_voc/infer"])
@pytest.mark.parametrize(("length", "answer"), [(200_001, b"413"), (100, b"100")])
def test_who_asks_first_whether_to_send_the_body_is_told(
    strict_server: Server, path: str, length: int, answer: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    head += f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(strict_server.address, timeout=60) as connection:
        connection.sendall(head.encode())
        with connection.makefile("rb") as reply:
            assert reply.readline().split()[1] == answer
            if answer == b"413":
                assert b"body_too_large" in reply.read(), "and the connection is closed"


def test_too_many_images(strict_server: Server, cat: bytes) -> None:
    files = [("images", ("cat.jpg", cat))] * 4
    response = httpx.post(f"{strict_server.url}/v1/detect", files=files)
    assert_problem(response, 413, "too_many_images", "4 images")


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/nothing", "/v1/detect/", "/v1/detect/more", "/v1/detects"]
)
def test_path_that_is_not_there(http: httpx.Client, path: str) -> None:
    assert_problem(http.post(path), 404, "not_found", "POST /v1/detect")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/detect", "POST"),
        ("DELETE", "/v1/classify", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/models/efficientdet_lite0_voc", "GET, HEAD"),
    ],
)
def test_method_that_is_not_the_endpoints(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = http.request(method, path)
    assert_problem(response, 405, "method_not_allowed", f"takes {allowed}, not {method}")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/v1/models/nothing", "/v1/models/efficientdet_lite0_voc/7"])
def test_model_that_is_not_there(http: httpx.Client, path: str) -> None:
    assert_problem(http.get(path), 404, "model_not_found")


@pytest.mark.parametrize(
    "parameters",
    [{"model": "m" * 10**6}, {"labels": ["n" * 10**6]}, {"x" * 10**6: 1}, {"top_k": "1" * 10**6}],
    ids=["model", "label", "parameter", "value"],
)
def test_what_was_sent_comes_back_and_is_logged_in_short(
    server: Server, parameters: dict[str, object]
) -> None:
    began = len(server.log.read_bytes())
    reply = httpx.post(
        f"{server.url}/v1/detect", json={"images": [{"base64": "aGk="}], **parameters}
    )
    assert reply.status_code in (404, 422)
    assert len(reply.content) < 3000
    logged = server.log.read_bytes()[began:].splitlines()  # of others too
    assert all(len(line) < 10_000 for line in logged)
    path = httpx.get(f"{server.url}/{'p' * 20_000}")
    assert (path.status_code, len(path.content) < 3000) == (404, True)
