"""The minimal server gives the same answers: it does not skip work on a photo."""

from pathlib import Path

import httpx
import pytest

from benchmarks.answers import check_answer, find_rows, reference
from benchmarks.minimal_server import minimal_server
from benchmarks.packages import MODELS, Model
from benchmarks.peers.table import raw_body


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            model,
            id=model.title,
            # test_interleaved.py checks the classifier's answer
            marks=[pytest.mark.full] if model.path == "/v1/classify" else [],
        )
        for model in MODELS
    ],
)
def test_answers_are_the_models(model: Model, photos: Path, tmp_path: Path) -> None:
    photo = photos / "cat.jpg"
    expected = reference(model.package, photo, exact=False)
    with minimal_server(model.package, tmp_path) as server:
        reply = httpx.post(server.url, content=photo.read_bytes())
        check_answer(server, raw_body(photo.read_bytes(), "/"), expected)
    assert [row["label"] for row in find_rows(reply.json())] == [row["label"] for row in expected]
