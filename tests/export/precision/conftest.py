"""What the precision tests share."""

from typing import Any

import numpy as np
import onnx
import pytest

from export.precision.preparation import prepare
from tests.export.small import SPEC


@pytest.fixture(scope="module")
def prepared(small: onnx.ModelProto) -> onnx.ModelProto:
    """The small graph, prepared for quantisation."""
    return prepare(small, SPEC)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray[Any, Any]:
    """Eight images of 16 x 16."""
    return np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
