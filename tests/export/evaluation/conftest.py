"""The packages that ship with the service, as columns."""

from pathlib import Path

import pytest

from export.evaluation.column import PackageColumn
from service.package import open_package


@pytest.fixture(scope="session")
def detector(store: Path) -> PackageColumn:
    return PackageColumn(open_package(store / "efficientdet_lite0_voc" / "1"))


@pytest.fixture(scope="session")
def classifier(store: Path) -> PackageColumn:
    return PackageColumn(open_package(store / "efficientnet_lite0_imagenet" / "1"))
