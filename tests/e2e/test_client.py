"""The Python client against a real server."""

import dataclasses
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from boxport_client import (
    ApiError,
    Client,
    ConnectionFailed,
    DetectionResult,
    PhotoError,
    RequestTimedOut,
)
from PIL import Image
from server import Server, free_port


@pytest.fixture(scope="module")
def client(server: Server):
    with Client(server.url) as client:
        yield client


def test_detect_gives_what_the_server_says(client: Client, server: Server, photos: Path) -> None:
    path = photos / "cat.jpg"
    result = client.detect(path)
    headers = {"content-type": "image/jpeg"}
    plain = httpx.post(f"{server.url}/v1/detect", content=path.read_bytes(), headers=headers)
    assert result.to_dict()["detections"] == plain.json()["results"][0]["detections"]
    assert (result.width, result.height) == (451, 300)
    assert result.model.name == "efficientdet_lite0_voc"
    assert len(result) == len(list(result)) >= 1
    best = result.detections[0]
    assert best.label == "cat"
    left, top, width, height = best.box.xywh
    assert best.box.xyxy == pytest.approx((left, top, left + width, top + height))
    assert result.timing_ms["total"] > 0


def test_every_kind_of_photo_gives_the_same(client: Client, photos: Path) -> None:
    path = photos / "cat.jpg"
    picture = Image.open(path)
    kinds = [path, str(path), path.read_bytes(), picture, np.asarray(picture)]
    answers = [client.detect(photo).detections for photo in kinds]
    assert all(answer == answers[0] for answer in answers)


def test_parameters_reach_the_model(client: Client, photos: Path) -> None:
    photo = (photos / "cat.jpg").read_bytes()
    everything = client.detect(photo, score_threshold=0.01, max_detections=1000)
    assert len(client.detect(photo, score_threshold=0.01, max_detections=3)) == 3
    loose = client.detect(photo, score_threshold=0.01, iou_threshold=0.95, max_detections=1000)
    assert len(loose) > len(everything)
    some = client.detect(photo, score_threshold=0.01, labels=["dog", "cat"], max_detections=1000)
    assert {d.label for d in some} == {"dog", "cat"}
    assert client.detect(photo, model="efficientdet_lite0_voc/1").model.version == "1"


def test_classify(client: Client, photos: Path) -> None:
    result = client.classify(photos / "coffee.jpg", top_k=3)
    assert result.best.label == "espresso"
    assert len(result) == 3
    assert result.to_dict()["classifications"][0]["label"] == "espresso"


def test_results_cannot_be_changed(client: Client, photos: Path) -> None:
    result = client.detect(photos / "cat.jpg")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.width = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.detections[0].score = 1.0


def test_models(client: Client) -> None:
    models = {model.name: model for model in client.models()}
    assert models["efficientdet_lite0_voc"].labels[7] == "cat"
    assert models["efficientnet_lite0_imagenet"].task == "classification"


def test_drawing_marks_the_cat(client: Client, photos: Path) -> None:
    result: DetectionResult = client.detect(photos / "cat.jpg")
    drawn = result.draw(photos / "cat.jpg")
    assert drawn.size == (451, 300)
    assert drawn.tobytes() != Image.open(photos / "cat.jpg").tobytes()


@pytest.mark.parametrize(
    ("photo", "options", "status", "code"),
    [
        (b"no photo", {}, 422, "invalid_image"),
        (b"", {}, None, None),
        (None, {"model": "nothing"}, 404, "model_not_found"),
        (None, {"score_threshold": 3}, 422, "invalid_parameter"),
        (None, {"labels": ["unicorn"]}, 422, "invalid_parameter"),
    ],
)
def test_refusals_are_typed(
    client: Client, photos: Path, photo: bytes | None, options: dict, status: int, code: str
) -> None:
    photo = (photos / "cat.jpg").read_bytes() if photo is None else photo
    if status is None:
        with pytest.raises(PhotoError):
            client.detect(photo, **options)
        return
    with pytest.raises(ApiError) as caught:
        client.detect(photo, **options)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (status, code, False)
    assert error.request_id
    assert str(error).startswith(f"{status} {code}: ")


def test_a_reply_that_is_not_the_services_own() -> None:
    """Such as a proxy's: here another program's server is at the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        with Client(url) as lost, pytest.raises(ApiError) as caught:
            lost.models()
        other.shutdown()
    assert (caught.value.status, caught.value.code) == (404, "unknown")


def test_nobody_listens(photos: Path) -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as lonely:
        with pytest.raises(ConnectionFailed, match="cannot reach"):
            lonely.detect(photos / "cat.jpg")
        with pytest.raises(RequestTimedOut, match="not ready"):
            lonely.wait_until_ready(timeout=0.5)


def test_somebody_listens_and_says_nothing(photos: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.5) as impatient, pytest.raises(RequestTimedOut):
            impatient.detect(photos / "cat.jpg")


def test_ready(client: Client) -> None:
    client.wait_until_ready(timeout=5)
