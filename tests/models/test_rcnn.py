"""Regions are cut out with their surroundings, and classified by themselves."""

import pytest
import torch
from torch import Tensor, nn

from models import rcnn
from models.postprocess import decode_given_regions, select_detections
from models.rcnn import CONTEXT, RCNN, RCNNSettings, warp
from models.variants import VARIANTS


class Tiny(nn.Module):
    """The least of classifiers: of an image's mean colour and its square."""

    class_layer = "classifier"

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(6, 1)

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(2, 3))
        return self.classifier(torch.cat((mean, mean.square()), dim=1))


def tiny(classes: int = 2) -> RCNN:
    torch.manual_seed(0)
    return RCNN(RCNNSettings("", crop=8), Tiny(), classes).eval()


def ramp(height: int, width: int) -> Tensor:
    """An image [1, 3, H, W] whose first channel is x, whose second is y, in pixels from its left
    upper corner; the third is 1."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x, y, torch.ones_like(x)))[None]


def test_a_crop_is_the_region_with_its_surroundings() -> None:
    regions = torch.tensor([[[20.0, 10.0, 40.0, 20.0], [30.0, 20.0, 34.0, 40.0]]])
    crops = warp(ramp(60, 80), regions, side=8)
    assert crops.shape == (2, 3, 8, 8)
    for crop, (left, top, right, bottom) in zip(crops, regions[0].tolist(), strict=True):
        x, y = CONTEXT * (right - left), CONTEXT * (bottom - top)
        steps = (torch.arange(8) + 0.5) / 8
        at_x = left - x + steps * (right - left + 2 * x)
        at_y = top - y + steps * (bottom - top + 2 * y)
        torch.testing.assert_close(crop[0], at_x.expand(8, 8), atol=1e-3, rtol=0)
        torch.testing.assert_close(crop[1], at_y[:, None].expand(8, 8), atol=1e-3, rtol=0)
        torch.testing.assert_close(crop[2], torch.ones(8, 8))


def test_beyond_the_image_is_the_mean_colour() -> None:
    (crop,) = warp(ramp(40, 40), torch.tensor([[[-40.0, 0.0, 40.0, 40.0]]]), side=8)
    assert crop[:, :, :4].abs().max() == 0
    assert crop[2, 3:5, 5:7].min() == 1
    assert warp(ramp(40, 40), torch.tensor([[[90.0, 90.0, 99.0, 99.0]]]), side=8).abs().max() == 0


def test_each_image_has_its_own_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = tiny(), torch.cat((ramp(40, 40), -ramp(40, 40)))
    regions = 20 * torch.rand(2, 11, 4)
    regions[..., 2:] += regions[..., :2] + 1
    with torch.no_grad():
        features = network.region_features(images, regions)
        logits, deltas = network(images, regions)
    assert features.shape == (2, 11, 6)
    assert logits.shape == (2, 11, 2)
    assert deltas.shape == (2, 11, 2, 4)
    for image in range(2):
        alone = network.region_features(images[image : image + 1], regions[image : image + 1, 3:4])
        torch.testing.assert_close(alone[0, 0], features[image, 3])
    monkeypatch.setattr(rcnn, "AT_ONCE", 4)
    with torch.no_grad():
        torch.testing.assert_close(network.region_features(images, regions), features)


def test_padding_is_never_a_detection() -> None:
    regions = torch.tensor([[[10.0, 10.0, 30.0, 30.0], [0.0, 0.0, 0.0, 0.0], [5.0, 5.0, 5.0, 9.0]]])
    logits, deltas = torch.full((1, 3, 2), 3.0), torch.zeros(1, 3, 2, 4)
    deltas[0, 0, 1, 0] = 0.5  # the second class is half a width further right
    scores, boxes = decode_given_regions(logits, deltas, regions, tiny().box_coder, 60, 35)
    settings = map(torch.tensor, (0.1, 0.5, 10))
    number, found, best, labels = select_detections(scores, boxes, *settings)
    assert number.tolist() == [2]
    assert labels[0, :2].tolist() == [0, 1]
    torch.testing.assert_close(best[0, :2], torch.tensor(3.0).sigmoid().expand(2))
    assert found[0, :2].tolist() == [[10, 10, 30, 30], [20, 10, 35, 30]]  # clipped at the right


def test_an_rcnn_has_the_features_of_its_classifier() -> None:
    with torch.device("meta"):
        network = VARIANTS["rcnn_lite0"].build(7)
        classifier = VARIANTS["efficientnet_lite0"].build(7)
    own = {k.removeprefix("classifier.") for k in network.state_dict() if "classifier." in k}
    assert own == {k for k in classifier.state_dict() if not k.startswith("classifier.")}
    assert network.class_logits.weight.shape == (7, 1280)
    assert network.deltas.weight.shape == (28, 1280)
