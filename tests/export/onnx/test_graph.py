"""The graph's own steps, in PyTorch."""

import pytest
import torch

from export.onnx.graph import decode_best
from models.box_coder import BoxCoder
from models.operators import select_detections
from models.postprocess import MAX_CANDIDATES, decode_anchors

HEIGHT, WIDTH = 200, 300


def random_outputs(count: int) -> tuple[torch.Tensor, ...]:
    """Logits, deltas and anchors of three images; many logits are equal."""
    generator = torch.Generator().manual_seed(count)
    logits = torch.randint(-60, 20, (3, count, 4), generator=generator) / 10
    deltas = torch.randn(3, count, 4, generator=generator) / 4
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    sides = 5 + torch.rand(count, 2, generator=generator) * 60
    return logits, deltas, torch.cat((corners, corners + sides), dim=1)


@pytest.mark.parametrize("count", [40, MAX_CANDIDATES, 3000])
@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("score_threshold", [0.0, 0.3, 0.8, 1.0])
def test_cutting_before_decoding_changes_no_detection(
    count: int, agnostic: bool, score_threshold: float
) -> None:
    outputs = (*random_outputs(count), BoxCoder(order="yxhw"), HEIGHT, WIDTH)
    settings = torch.tensor(score_threshold), torch.tensor(0.5), torch.tensor(200)
    scores, boxes = decode_best(*outputs, settings[0], settings[2])
    most = min(count, MAX_CANDIDATES)
    least = most if score_threshold == 0 else min(count, 200)
    assert least <= scores.shape[1] <= most
    assert scores.shape[1] == 200 or count < 200 or score_threshold < 1
    assert boxes.shape[:2] == scores.shape[:2]
    rest = MAX_CANDIDATES, torch.tensor(agnostic)
    found = select_detections(scores, boxes, *settings, *rest)
    expected = select_detections(*decode_anchors(*outputs), *settings, *rest)
    assert score_threshold > 0.3 or (found[0] > 10).all()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
