"""An engine with a model of two versions, of which trials run without a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.engine import Engine
from tests.packages import CLASSIFIER, copy_package
from tests.service.engine.trials import open_engine
from tests.service.rollout.fakes import Loads


@pytest.fixture(scope="module")
def own_store(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """pets/1, and pets/2, which is the same network."""
    folder = tmp_path_factory.mktemp("store")
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", folder, "pets", version)
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    made = Loads()
    monkeypatch.setattr("service.engine.engine.load_model", made)
    return made


@pytest.fixture
def engine(own_store: Path, tmp_path: Path, loads: Loads) -> Iterator[Engine]:
    made = open_engine(own_store, tmp_path)
    yield made
    for version in loads.versions.values():
        version.released.set()
    made.close()
