"""What the precision tests share."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import SPEC, small_graph


@pytest.fixture(scope="session")
def small() -> onnx.ModelProto:
    return small_graph(SPEC)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray[Any, Any]:
    """Eight images of 16 x 16."""
    return np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
