"""What the tests of local clusters share."""

from pathlib import Path

import pytest
from boxport_client import ClassificationResult

from tests.deploy.local_cluster.clusters import LocalCluster, direct_answers
from tests.packages import CLASSIFIER, copy_package
from tests.tools import need


@pytest.fixture(scope="session", autouse=True)
def haproxy() -> None:
    """A cluster does not start without it."""
    need("haproxy")


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """A store with the classifier alone, which starts fast."""
    folder = tmp_path_factory.mktemp("store")
    copy_package(store / CLASSIFIER / "1", folder, CLASSIFIER, 1)
    return folder


@pytest.fixture(scope="session")
def some_photos(photos: Path) -> list[Path]:
    return sorted(photos.glob("*.jpg"))


@pytest.fixture(scope="module")
def expected(cluster: LocalCluster, some_photos: list[Path]) -> dict[Path, ClassificationResult]:
    """What the replicas of the module's ``cluster`` say of each photo."""
    return direct_answers(cluster, some_photos)
