"""Backbones run in two parts as they do in one."""

import pytest
import torch

from models.resnet import SETTINGS, ResNetBackbone

SHAPES = {2: (1, 64, 24, 24), 3: (1, 128, 12, 12), 4: (1, 256, 6, 6), 5: (1, 512, 3, 3)}


@pytest.mark.parametrize("levels", [(3, 4, 5), (2, 3, 4, 5), (5,)])
@pytest.mark.parametrize("stages", range(5))
def test_a_resnet_can_be_run_in_two_parts(stages: int, levels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    backbone = ResNetBackbone(SETTINGS["resnet18"], levels).eval()
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        whole = backbone(images)
        kept = backbone.run_first(images, stages)
        parts = backbone.resume(kept, stages)
    assert [tuple(feature.shape) for feature in whole] == [SHAPES[level] for level in levels]
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)
    assert len(kept) <= 1 + sum(level - 2 < stages for level in levels)  # nothing twice


def test_there_are_no_more_stages_than_there_are() -> None:
    backbone = ResNetBackbone(SETTINGS["resnet18"])
    assert backbone.first(0) == []
    assert backbone.first(1) == [*backbone.stem_layers(), backbone.layer1]
    assert backbone.first(4)[-1] is backbone.layer4
    with pytest.raises(ValueError, match="has 4 stages, not 5"):
        backbone.first(5)
