"""The checks of a dashboard stand beside the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
