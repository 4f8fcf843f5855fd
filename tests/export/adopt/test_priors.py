"""Priors of torchvision's networks, which their files do not have."""

from pathlib import Path

import numpy as np
import pytest

from export.adopt.batch import batched
from export.adopt.build import build
from export.adopt.decoders.priors import RECIPES, ssd_priors
from export.adopt.decoders.reference.priors import default_boxes
from export.adopt.decoders.row import Given
from export.adopt.finder import propose
from export.adopt.foreign import read_foreign
from export.adopt.prove import foreign_model
from export.parity.model import feeds_of, onnx_model, open_quietly
from service.manifest import DETECTION_INPUTS
from tests.export.adopt.made_priors import SSDLITE


@pytest.mark.parametrize(("recipe", "count"), [("ssd300", 8732), ("ssdlite320", 3234)])
def test_priors_are_torchvisions(recipe: str, count: int) -> None:
    side = RECIPES[recipe].side
    priors = ssd_priors(RECIPES[recipe]) * side
    assert priors.shape == (count, 4)
    np.testing.assert_allclose(priors, default_boxes(recipe), atol=1e-4)


def test_first_priors_of_ssd300() -> None:
    """Of the first place: .07 of 300, the mean with .15, and a ratio of 2 both ways."""
    expected = [[4, 4, 21, 21], [4, 4, 30.74, 30.74], [4, 4, 29.7, 14.85], [4, 4, 14.85, 29.7]]
    np.testing.assert_allclose(ssd_priors(RECIPES["ssd300"])[:4] * 300, expected, atol=0.01)


def test_ssd_without_priors_is_told_by_its_places(tmp_path: Path) -> None:
    """Its sizes are limited, which those of some places here exceed."""
    plan = propose(read_foreign(SSDLITE.write(tmp_path)), Given())
    assert plan.decoder.name == "ssd"
    assert plan.match.settings["recipe"] == "ssdlite320"
    network, batching = batched(plan.foreign, plan.match)
    candidate = onnx_model(open_quietly(build(plan, network, batching)))
    image = np.random.default_rng(0).integers(0, 256, (1, 320, 320, 3), dtype=np.uint8)
    image[:, :160] = 0
    feeds = feeds_of(DETECTION_INPUTS, image, 0.3, 1.0, 50, False)
    actual, expected = candidate.run(feeds), foreign_model(plan).run(feeds)
    assert expected[0][0] == 50
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
