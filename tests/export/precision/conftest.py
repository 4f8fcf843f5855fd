"""What the precision tests share."""

from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def pixels() -> np.ndarray[Any, Any]:
    """Eight images of 16 x 16."""
    return np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
