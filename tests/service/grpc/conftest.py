"""What the tests of gRPC share."""

from pathlib import Path

import pytest

from service.manifest import ModelManifest, read_manifest
from tests.packages import CLASSIFIER


@pytest.fixture(scope="session")
def grpc_manifest(store: Path) -> ModelManifest:
    """Of a shipped classifier."""
    return read_manifest(store / CLASSIFIER / "1" / "manifest.json")
