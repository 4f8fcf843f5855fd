"""Both clients against a real service."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from boxport_client import ApiError, Client, InvalidRequest, MissingExtra, PhotoError, Unauthorized
from PIL import Image

from tests.clients.python.scripted import ScriptedServer, answers


def test_detect_gives_what_the_server_says(client, url: str, photos: Path) -> None:
    path = photos / "cat.jpg"
    result = client.detect(path)
    headers = {"content-type": "image/jpeg"}
    plain = httpx.post(f"{url}/v1/detect", content=path.read_bytes(), headers=headers)
    assert result.to_dict()["detections"] == plain.json()["results"][0]["detections"]
    assert (result.width, result.height) == (451, 300)
    assert result.model.name == "retinanet_lite0_voc"
    assert len(result) == len(list(result)) >= 1
    best = result.detections[0]
    assert best.label == "cat"
    left, top, width, height = best.box.xywh
    assert best.box.xyxy == pytest.approx((left, top, left + width, top + height))
    assert result.timing_ms["total"] > 0


def test_every_kind_of_photo_gives_the_same(client, photos: Path) -> None:
    path = photos / "cat.jpg"
    picture = Image.open(path)
    with path.open("rb") as file:
        kinds = [path, str(path), path.read_bytes(), file, picture, np.asarray(picture)]
        answered = [client.detect(photo).detections for photo in kinds]
    assert all(answer == answered[0] for answer in answered)
    assert answered[0]


def test_a_shrunk_photo_gives_nearly_the_same_in_its_own_pixels(client, photos: Path) -> None:
    full = client.detect(photos / "cat.jpg")
    small = client.detect(photos / "cat.jpg", max_side=320)
    assert (small.width, small.height) == (full.width, full.height)
    assert small.detections[0].box == pytest.approx(full.detections[0].box, abs=12)
    assert small.detections != full.detections
    named = client.classify(photos / "coffee.jpg", max_side=300)
    assert (named.width, named.height, named.best.label) == (600, 400, "espresso")


def test_a_url_goes_to_the_service_which_refuses_it_here(client, url: str) -> None:
    with pytest.raises(Unauthorized, match="fetches no URLs") as caught:
        client.detect(f"{url}/cat.jpg", score_threshold=0.4)
    assert caught.value.code == "url_not_allowed"
    with pytest.raises(PhotoError, match="only the service fetches URLs"):
        client.detect(f"{url}/cat.jpg", max_side=100)


def test_parameters_reach_the_model(client, photos: Path) -> None:
    photo = (photos / "cat.jpg").read_bytes()
    everything = client.detect(photo, score_threshold=0.01, max_detections=1000)
    assert len(client.detect(photo, score_threshold=0.01, max_detections=3)) == 3
    loose = client.detect(photo, score_threshold=0.01, iou_threshold=0.95, max_detections=1000)
    assert len(loose) > len(everything)
    one_each = client.detect(photo, score_threshold=0.01, max_detections=1000, class_agnostic=True)
    assert len(one_each) < len(everything)
    some = client.detect(photo, score_threshold=0.01, labels=["dog", "cat"], max_detections=1000)
    assert {d.label for d in some} == {"dog", "cat"}
    one = client.detect(photo, score_threshold=0.01, labels="dog", max_detections=1000)
    assert {d.label for d in one} == {"dog"}
    assert client.detect(photo, model="efficientdet_lite0_voc/1").model.version == "1"


def test_classify(client, photos: Path) -> None:
    result = client.classify(photos / "coffee.jpg", top_k=3)
    assert result.best.label == "espresso"
    assert len(result) == 3
    assert result.to_dict()["classifications"][0]["label"] == "espresso"


def test_results_cannot_be_changed(client, photos: Path) -> None:
    result = client.detect(photos / "cat.jpg")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.width = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.detections[0].score = 1.0


def test_models(client) -> None:
    models = {model.name: model for model in client.models()}
    assert models["efficientdet_lite0_voc"].labels[7] == "cat"
    assert models["efficientnet_lite0_imagenet"].task == "classification"
    one = client.model("efficientdet_lite0_voc")
    assert one == client.model("efficientdet_lite0_voc/1")
    assert one.labels == models["efficientdet_lite0_voc"].labels
    with pytest.raises(InvalidRequest) as caught:
        client.model("no/such model?")
    assert caught.value.code == "model_not_found"


def test_drawing_marks_the_cat(client, photos: Path) -> None:
    result = client.detect(photos / "cat.jpg")
    drawn = result.draw(photos / "cat.jpg")
    assert drawn.size == (451, 300)
    assert drawn.tobytes() != Image.open(photos / "cat.jpg").tobytes()


def test_many_photos_of_a_folder(client, photos: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    outcomes = list(client.detect_many(photos, journal=journal, score_threshold=0.5))
    assert [outcome.photo.name for outcome in outcomes] == sorted(
        path.name for path in photos.glob("*.jpg")
    )
    assert all(outcome.ok for outcome in outcomes)
    assert list(client.detect_many(photos, journal=journal, score_threshold=0.5)) == outcomes


@pytest.mark.parametrize(
    ("photo", "options", "status", "code"),
    [
        (b"no photo", {}, 422, "invalid_image"),
        (None, {"model": "nothing"}, 404, "model_not_found"),
        (None, {"score_threshold": 3}, 422, "invalid_parameter"),
        (None, {"labels": ["unicorn"]}, 422, "invalid_parameter"),
    ],
)
def test_refusals_are_typed(
    client, photos: Path, photo: bytes | None, options: dict, status: int, code: str
) -> None:
    photo = (photos / "cat.jpg").read_bytes() if photo is None else photo
    with pytest.raises(InvalidRequest) as caught:
        client.detect(photo, **options)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (status, code, False)
    assert error.request_id
    assert str(error).startswith(f"{status} {code}: ")


def test_ready(client) -> None:
    client.wait_until_ready(timeout=5)
    health = client.health()
    assert (health.live, health.ready) == (True, True)


def test_the_request_id_is_the_services_too(client, photos: Path) -> None:
    one, other = (client.detect(photos / "cat.jpg") for _ in range(2))
    assert len(one.request_id) == 32
    assert one.request_id != other.request_id


def test_a_client_is_safe_for_several_threads(url: str, photos: Path) -> None:
    found: list = []
    with Client(url) as client:
        threads = [
            threading.Thread(target=lambda: found.append(client.detect(photos / "cat.jpg")))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 8
    assert len({result.detections for result in found}) == 1


def test_key_priority_and_address(make_client, scripted: ScriptedServer, monkeypatch) -> None:
    make_client(f"{scripted.url}/base/", api_key="secret", priority="bulk").detect(b"1")
    monkeypatch.setenv("BOXPORT_URL", scripted.url)
    monkeypatch.setenv("BOXPORT_API_KEY", "from-the-environment")
    make_client(None).detect(b"2")
    make_client(scripted.url, api_key="given").detect(b"3")
    first, second, third = scripted.asked
    assert first.path == "/base/v1/detect"
    assert first.headers["authorization"] == "Bearer secret"
    assert first.headers["x-request-priority"] == "bulk"
    assert second.headers["authorization"] == "Bearer from-the-environment"
    assert third.headers["authorization"] == "Bearer given"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "localhost:3000"}, "not the URL of a service"),
        ({"url": "ftp://host"}, "not the URL of a service"),
        ({"url": "http://"}, "not the URL of a service"),
        ({"url": "http://host:99999"}, "is not"),
        ({"url": "http://host?a=b"}, "must end with the path"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": float("inf")}, "timeout must be"),
        ({"retries": -1}, "retries must be"),
        ({"api_key": "two words"}, "the API key is empty, or has"),
        ({"api_key": "secret\n"}, "the API key is empty, or has"),
    ],
)
def test_arguments_that_cannot_be_are_refused(make_client, given: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make_client(**{"url": "http://host", **given})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"max_side": 0}, {"tile": -1}, {"overlap": 1.0}, {"timeout": -1.0}]
)
def test_parameters_of_the_client_are_checked_by_it(
    make_client, scripted: ScriptedServer, options: dict
) -> None:
    with pytest.raises(ValueError, match="must be"):
        make_client(scripted.url).detect(b"photo", **options)
    assert not scripted.asked


def test_http2(make_client, scripted: ScriptedServer) -> None:
    """Without h2 a line says what to install; with it, a server without HTTP/2 is asked in 1.1."""
    try:
        import h2  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"pip install 'boxport-client\[http2\]'"):
            make_client(scripted.url, http2=True)
    else:
        assert make_client(scripted.url, http2=True).detect(b"photo")


def test_a_client_does_not_show_its_key() -> None:
    with Client("http://user:secret@host", api_key="hidden") as client:
        assert repr(client) == "Client('http://host')"


def test_refusals_of_one_call_name_its_id(make_client, scripted: ScriptedServer) -> None:
    scripted.then = lambda handler: handler.reply(404, b"<h1>Not here</h1>")
    with pytest.raises(ApiError, match="404 unknown: <h1>Not here</h1>") as caught:
        make_client(scripted.url).models()
    assert caught.value.request_id == scripted.asked[0].headers["x-request-id"]


def test_a_closed_client_cannot_be_used(make_client, scripted: ScriptedServer) -> None:
    scripted.then = answers()
    with Client(scripted.url) as client:
        client.detect(b"photo")
    with pytest.raises(RuntimeError, match="closed"):
        client.detect(b"photo")
