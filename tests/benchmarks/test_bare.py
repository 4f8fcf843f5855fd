"""The bare server gives the same answers: it is no faster for doing less with a photo."""

from pathlib import Path

import httpx
import pytest

from benchmarks.answers import reference
from benchmarks.bare import bare_server
from benchmarks.packages import MODELS, Model


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.title)
def test_answers_are_the_models(model: Model, photos: Path, tmp_path: Path) -> None:
    photo = photos / "cat.jpg"
    with bare_server(model.package, tmp_path) as server:
        reply = httpx.post(server.url, content=photo.read_bytes())
    assert reply.json()["results"] == [reference(model.package, photo, exact=False)]
