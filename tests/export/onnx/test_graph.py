"""The graph's own steps, in PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from export.onnx.graph import Normalise, build_graph, decode_best
from export.onnx.trace import to_onnx
from export.precision.half import to_half
from models.box_coder import BoxCoder
from models.operators import select_detections
from models.postprocess import MAX_CANDIDATES, decode_anchors
from models.training.dataset import normalise
from models.variants import Variant
from service.imaging.input_spec import Letterbox
from service.runtime.graph_facts import channel_order_of, normalisation_of
from tests.export.small import run

HEIGHT, WIDTH = 200, 300
CAFFE = Letterbox(  # BGR, in grey levels
    height=32,
    width=32,
    interpolation="bilinear",
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    channel_order="bgr",
    scale=1.0,
)
SPECS = {
    "RGB": CAFFE.model_copy(update={"channel_order": "rgb"}),
    "BGR": CAFFE,
    "BGR of 0..1": CAFFE.model_copy(
        update={"scale": 1 / 255, "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    ),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_network_reads_the_stated_channels_in_graph_and_in_training(spec: Letterbox) -> None:
    images = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)
    values = images.numpy().astype(np.float64)
    values = values[..., ::-1] if spec.channel_order == "bgr" else values
    expected = ((values * spec.scale - spec.mean) / spec.std).transpose(0, 3, 1, 2)
    for read in (Normalise(spec)(images), normalise(images.permute(0, 3, 1, 2), spec)):
        np.testing.assert_allclose(read.numpy(), expected, rtol=0, atol=1e-5)


class Colours(nn.Module):
    """A network whose logits are the means of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.conv(images).mean(dim=(2, 3))
        return logits


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_exported_graph_shows_what_its_network_reads(spec: Letterbox) -> None:
    """In float32 and in float16, where it is compared with the manifest when it is loaded."""
    graph = build_graph(Colours(), spec).eval()
    model = to_onnx(Variant("classification", lambda _: Colours(), spec), graph)
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    (answer,) = run(model, images=images.numpy())
    np.testing.assert_allclose(answer, graph(images).detach().numpy(), atol=1e-5)
    for shown in (model, to_half(model)):
        assert channel_order_of(shown) == spec.channel_order
        normalisation = normalisation_of(shown, spec.unit)
        assert normalisation is not None
        mean, std, tolerance = normalisation
        np.testing.assert_allclose(mean, spec.mean, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(std, spec.std, rtol=tolerance, atol=tolerance)


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
