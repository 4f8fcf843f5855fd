"""POST /v1/classify against a real server."""

from io import BytesIO

import httpx
import pytest
from PIL import Image
from skimage import data

from service.http.openapi.schemas import ClassifyAnswer

PUBLISHED = {
    "chelsea": {"tiger cat": 0.39, "Egyptian cat": 0.36, "tabby": 0.17},
    "coffee": {"espresso": 0.95},
    "camera": {"tripod": 0.94},
    "motorcycle": {"moped": 0.54},
}


def photo_of(name: str) -> bytes:
    pixels = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def classify(http: httpx.Client, photo: bytes, **params: object) -> httpx.Response:
    headers = {"content-type": "image/png"}
    return http.post("/v1/classify", content=photo, headers=headers, params=params)


@pytest.mark.parametrize("name", PUBLISHED)
def test_answers_are_those_of_the_published_weights(http: httpx.Client, name: str) -> None:
    response = classify(http, photo_of(name))
    rows = ClassifyAnswer.model_validate(response.json()).results[0].classifications
    scores = {row.label: row.score for row in rows}
    for label, score in PUBLISHED[name].items():
        assert scores[label] == pytest.approx(score, abs=0.01)
    assert rows[0].label == next(iter(PUBLISHED[name]))


def test_rows_are_best_first_and_as_many_as_asked(http: httpx.Client) -> None:
    photo = photo_of("coffee")
    rows = classify(http, photo, top_k=1000).json()["results"][0]["classifications"]
    scores = [row["score"] for row in rows]
    assert len({row["label_id"] for row in rows}) == 1000
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-3)
    for top_k in (1, 3):
        some = classify(http, photo, top_k=top_k).json()["results"][0]["classifications"]
        assert some == rows[:top_k]


def test_size_is_the_photos_own(http: httpx.Client) -> None:
    result = classify(http, photo_of("chelsea")).json()["results"][0]
    assert (result["width"], result["height"]) == (451, 300)
