"""A store of one's own, of several versions of one model, the highest of which is damaged."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server, running_server
from tests.packages import CLASSIFIER, break_graph, copy_package

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("own")
    for version in (2, 10, 9, 11):
        copy_package(store / CLASSIFIER / "1", folder / "store", "pets", version)
    break_graph(folder / "store" / "pets" / "11")
    with running_server(folder, model_store=folder / "store") as running:
        yield running


def test_version_that_is_damaged_is_passed_over_if_there_is_another(own: Server) -> None:
    damaged, *others = httpx.get(f"{own.url}/v1/models").json()["models"]
    assert [model["version"] for model in others] == ["10", "9", "2"]
    assert {model["status"]["state"] for model in others} == {"ready"}
    assert (damaged["version"], damaged["status"]["state"]) == ("11", "failed")
    assert "its sha256 is not the manifest's" in damaged["status"]["reason"]
    assert "pets/11 is refused" in own.log.read_text()


def test_a_name_means_its_highest_version(own: Server, cat: bytes) -> None:
    def version(**params: str) -> tuple[str, str]:
        url = f"{own.url}/v1/classify"
        answer = httpx.post(url, content=cat, headers=JPEG, params=params).json()
        return answer["model"]["name"], answer["model"]["version"]

    assert version() == ("pets", "10")
    assert version(model="pets") == ("pets", "10")
    assert version(model="pets/2") == ("pets", "2")


def test_a_task_that_no_model_is_for_is_not_found(own: Server, cat: bytes) -> None:
    refusal = httpx.post(f"{own.url}/v1/detect", content=cat, headers=JPEG)
    assert (refusal.status_code, refusal.json()["code"]) == (404, "model_not_found")
