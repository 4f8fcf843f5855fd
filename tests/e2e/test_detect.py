"""POST /v1/detect against a real server: every form gives the model's own answer."""

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from service.http.openapi.schemas import DetectAnswer
from service.manifest import read_manifest
from tests.e2e.server import Server

MODEL = "retinanet_lite0_voc"  # the default
LOW = {"score_threshold": 0.05}


def post_raw(http: httpx.Client, photo: bytes, **params: object) -> httpx.Response:
    headers = {"content-type": "image/jpeg"}
    return http.post("/v1/detect", content=photo, headers=headers, params=params)


def detections(response: httpx.Response, image: int = 0) -> list[dict]:
    assert response.status_code == 200, response.text
    return response.json()["results"][image]["detections"]


def test_the_cat_is_found(http: httpx.Client, cat: bytes) -> None:
    best = detections(post_raw(http, cat))[0]
    assert best["label"] == "cat"
    assert best["label_id"] == 8
    left, top, right, bottom = best["box"]
    assert (right - left) * (bottom - top) > 0.4 * 451 * 300


def test_the_astronaut_is_a_person(http: httpx.Client, photos: Path) -> None:
    best = detections(post_raw(http, (photos / "astronaut.jpg").read_bytes()))[0]
    assert best["label"] == "person"


def test_answer_has_the_promised_shape(http: httpx.Client, cat: bytes, store: Path) -> None:
    response = post_raw(http, cat)
    answer = DetectAnswer.model_validate(response.json(), strict=False)
    manifest = read_manifest(store / MODEL / "1" / "manifest.json")
    assert (answer.model.name, answer.model.version) == (MODEL, "1")
    assert answer.model.sha256 == manifest.sha256
    assert answer.request_id == response.headers["x-request-id"]
    (result,) = answer.results
    assert (result.width, result.height) == (451, 300)
    assert answer.timing_ms.total >= answer.timing_ms.inference > 0


@pytest.fixture(scope="module")
def exact(exact_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=exact_server.url, timeout=60) as client:
        yield client


def test_answer_is_that_of_bare_onnx_runtime(exact: httpx.Client, cat: bytes, store: Path) -> None:
    """Photo to boxes without a line of the service's code."""
    scale = 320 / 451
    canvas = Image.new("RGB", (320, 320), (128, 128, 128))
    resized = Image.open(BytesIO(cat)).resize((320, int(300 * scale)), Image.Resampling.BILINEAR)
    canvas.paste(resized)
    session = ort.InferenceSession(store / MODEL / "1" / "model.onnx")
    number, boxes, scores, labels = session.run(
        None,
        {
            "images": np.asarray(canvas)[None],
            "score_threshold": np.array(0.05, dtype=np.float32),
            "iou_threshold": np.array(0.5, dtype=np.float32),
            "max_detections": np.array(100),
            "class_agnostic": np.array(False),
        },
    )
    served = detections(post_raw(exact, cat, **LOW))
    assert len(served) == number[0] > 0
    factor = np.array([451 / 320, 300 / int(300 * scale)] * 2)
    for row, box, score, label in zip(served, boxes[0], scores[0], labels[0], strict=False):
        assert row["score"] == pytest.approx(score, abs=1e-5)
        assert row["label_id"] == label + 1
        expected = np.clip(box * factor, 0, [451, 300, 451, 300])
        np.testing.assert_allclose(row["box"], expected, atol=0.01)


@pytest.mark.parametrize("name", ["cat", "astronaut", "photographer", "rocket"])
def test_a_faster_resize_changes_little(
    exact: httpx.Client, http: httpx.Client, photos: Path, name: str
) -> None:
    """What Pillow's resize finds, the default one does too, about there and about as surely."""
    photo = (photos / f"{name}.jpg").read_bytes()
    slow = detections(post_raw(exact, photo, score_threshold=0.4))
    fast = detections(post_raw(http, photo, score_threshold=0.3))
    for row in slow:
        alike = [one for one in fast if one["label"] == row["label"]]
        nearest = min(alike, key=lambda one: abs(one["score"] - row["score"]))
        assert nearest["score"] == pytest.approx(row["score"], abs=0.03)
        assert nearest["box"] == pytest.approx(row["box"], abs=5)


def test_all_three_forms_give_the_same_answer(http: httpx.Client, cat: bytes) -> None:
    raw = post_raw(http, cat, **LOW)
    form = http.post("/v1/detect", files={"images": ("cat.jpg", cat)}, data=LOW)
    encoded = base64.b64encode(cat).decode()
    plain = http.post("/v1/detect", json={"images": [{"base64": encoded}], **LOW})
    data_uri = f"data:image/jpeg;base64,{encoded}"
    uri = http.post("/v1/detect", json={"images": [{"base64": data_uri}], **LOW})
    query = http.post("/v1/detect", files={"images": ("cat.jpg", cat)}, params=LOW)
    expected = raw.json()["results"]
    assert expected[0]["detections"]
    for response in (form, plain, uri, query):
        assert response.json()["results"] == expected


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "image/jpg", "image/png", "application/octet-stream"]
)
def test_the_bytes_count_and_not_their_stated_type(
    http: httpx.Client, cat: bytes, content_type: str
) -> None:
    response = http.post("/v1/detect", content=cat, headers={"content-type": content_type})
    assert detections(response) == detections(post_raw(http, cat))


def test_an_offer_of_http_2_costs_no_body(http: httpx.Client, cat: bytes) -> None:
    """Java's client makes it with its first request."""
    offer = {
        "connection": "Upgrade, HTTP2-Settings",
        "upgrade": "h2c",
        "http2-settings": "AAMAAABk",
    }
    headers = {"content-type": "image/jpeg", **offer}
    response = http.post("/v1/detect", content=cat, headers=headers)
    assert detections(response) == detections(post_raw(http, cat))


def test_many_images_are_answered_in_order(http: httpx.Client, photos: Path) -> None:
    names = ["cat", "astronaut", "coffee", "galaxies", "cat"]
    contents = [(photos / f"{name}.jpg").read_bytes() for name in names]
    response = http.post("/v1/detect", files=[("images", ("x", c)) for c in contents], data=LOW)
    for i, content in enumerate(contents):
        assert_same(detections(response, i), detections(post_raw(http, content, **LOW)))


def test_a_higher_threshold_only_drops_the_lower_scores(http: httpx.Client, cat: bytes) -> None:
    everything = detections(post_raw(http, cat, score_threshold=0.02))
    scores = [row["score"] for row in everything]
    # between two: the scores that are shown are rounded
    middle = sum(scores[len(scores) // 2 - 1 :][:2]) / 2
    above = detections(post_raw(http, cat, score_threshold=middle))
    assert above == [row for row in everything if row["score"] > middle]
    assert 0 < len(above) < len(everything)


def test_max_detections_keeps_the_best(http: httpx.Client, cat: bytes) -> None:
    everything = detections(post_raw(http, cat, score_threshold=0.02))
    assert detections(post_raw(http, cat, score_threshold=0.02, max_detections=2)) == everything[:2]


def test_labels_are_filtered_before_the_best_are_chosen(http: httpx.Client, cat: bytes) -> None:
    everything = detections(post_raw(http, cat, score_threshold=0.005, max_detections=1000))
    dogs = [row for row in everything if row["label"] == "dog"]
    assert dogs
    assert everything[0]["label"] == "cat"
    query = {"score_threshold": 0.005, "labels": "dog"}
    assert_same(detections(post_raw(http, cat, max_detections=1, **query)), dogs[:1])
    both = post_raw(http, cat, score_threshold=0.005, labels=["dog", "cat"], max_detections=1000)
    assert_same(detections(both), [r for r in everything if r["label"] in ("dog", "cat")])


def test_iou_threshold_decides_what_a_box_suppresses(http: httpx.Client, cat: bytes) -> None:
    counts = [
        len(detections(post_raw(http, cat, score_threshold=0.02, iou_threshold=iou)))
        for iou in (0.0, 0.5, 0.95)
    ]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_boxes_lie_in_the_upright_frame(http: httpx.Client, photos: Path, orientation: int) -> None:
    upright = Image.open(photos / "cat.jpg")
    stored = upright.transpose(
        {
            3: Image.Transpose.ROTATE_180,
            6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned, plain = BytesIO(), BytesIO()
    stored.save(turned, "PNG", exif=exif)
    upright.save(plain, "PNG")
    response = post_raw(http, turned.getvalue())
    assert response.json()["results"] == post_raw(http, plain.getvalue()).json()["results"]
    assert response.json()["results"][0]["width"] == 451


def test_nothing_to_find_is_an_empty_list(http: httpx.Client, photos: Path) -> None:
    response = post_raw(http, (photos / "gravel.jpg").read_bytes(), score_threshold=0.9)
    assert detections(response) == []


@pytest.mark.parametrize("reference", [MODEL, f"{MODEL}/1"])
def test_a_model_can_be_named(http: httpx.Client, cat: bytes, reference: str) -> None:
    assert detections(post_raw(http, cat, model=reference)) == detections(post_raw(http, cat))


def test_a_callers_request_id_is_kept(http: httpx.Client, cat: bytes) -> None:
    headers = {"content-type": "image/jpeg", "x-request-id": "order-66"}
    response = http.post("/v1/detect", content=cat, headers=headers)
    assert response.json()["request_id"] == response.headers["x-request-id"] == "order-66"
    headers["x-request-id"] = "a b" * 100
    response = http.post("/v1/detect", content=cat, headers=headers)
    assert len(response.json()["request_id"]) == 32


def assert_same(actual: list[dict], expected: list[dict]) -> None:
    """Equal but for what another batch size does to the last digits."""
    assert [row["label"] for row in actual] == [row["label"] for row in expected]
    for a, e in zip(actual, expected, strict=True):
        assert a["score"] == pytest.approx(e["score"], abs=1e-5)
        assert a["box"] == pytest.approx(e["box"], abs=0.01)
