"""Every family goes through the export and its parity gate with any weights, not only trained."""

import pytest

from export.parity.comparison import TOLERANCES
from models.variants import VARIANTS
from tests.fidelity.exports import EXPORTED, export
from tests.fidelity.report import keep_export


@pytest.mark.full
@pytest.mark.parametrize("variant", EXPORTED)
def test_family_passes_the_parity_gate(variant: str) -> None:
    row = export(variant, EXPORTED[variant])
    keep_export(row)
    assert row.scores <= TOLERANCES["fp32"].score
    if VARIANTS[variant].task == "detection":
        assert row.detections > 50
        assert row.boxes <= TOLERANCES["fp32"].box_px
