"""Factorised bilinear coding against the outer products that it never forms."""

import math

import pytest
import torch

from models.bilinear import BilinearClassifier, FactorisedBilinearCoding
from models.resnet import SETTINGS, ResNetBackbone
from models.variants import find_variant


def random_coding(sparsity: float) -> FactorisedBilinearCoding:
    torch.manual_seed(0)
    coding = FactorisedBilinearCoding(5, atoms=6, rank=3, sparsity=sparsity).double()
    for parameter in coding.parameters():
        torch.nn.init.normal_(parameter)
    return coding


def naive_code(coding: FactorisedBilinearCoding, features: torch.Tensor) -> list[list[float]]:
    """For each image and atom: the largest over all places of S(sum of (x xᵀ) ∘ (U Vᵀ))."""
    left, right = (conv.weight.detach()[:, :, 0, 0] for conv in (coding.left, coding.right))
    rows = []
    for image in features:
        row = []
        for atom in range(coding.atoms):
            members = range(atom * coding.rank, (atom + 1) * coding.rank)
            matrix = sum(torch.outer(left[r], right[r]) for r in members)
            codes = []
            for x in image.flatten(1).T:
                dense = (torch.outer(x, x) * matrix).sum().item()
                shrunk = max(abs(dense) - coding.sparsity / 2, 0)
                codes.append(math.copysign(shrunk, dense))
            row.append(max(codes))
        rows.append(row)
    return rows


@pytest.mark.parametrize("sparsity", [0.0, 1e-3, 3.0])
def test_the_code_is_that_of_whole_outer_products(sparsity: float) -> None:
    coding = random_coding(sparsity)
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64) * 0.5
    expected = torch.tensor(naive_code(coding, features), dtype=torch.float64)
    torch.testing.assert_close(coding(features).detach(), expected)


def test_the_soft_threshold_takes_half_the_sparsity_off_and_keeps_the_sign() -> None:
    """One atom of rank one over one channel: the code of x is u v x²."""
    coding = FactorisedBilinearCoding(1, atoms=3, rank=1, sparsity=0.5)
    with torch.no_grad():
        coding.left.weight.copy_(torch.tensor([1.0, -1.0, 0.2]).reshape(3, 1, 1, 1))
        coding.right.weight.fill_(1.0)
        code = coding(torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(code, torch.tensor([[0.75, -0.75, 0.0]]))


def test_an_atoms_rank_one_products_are_added_up() -> None:
    """Channels of ``left`` and ``right`` belong to atoms in blocks of ``rank``."""
    coding = FactorisedBilinearCoding(1, atoms=2, rank=3, sparsity=0.0)
    with torch.no_grad():
        coding.left.weight.copy_(torch.tensor([1.0, 2, 3, 10, 20, 30]).reshape(6, 1, 1, 1))
        coding.right.weight.copy_(torch.tensor([1.0, 1, 2, 1, 1, 2]).reshape(6, 1, 1, 1))
        code = coding(torch.full((1, 1, 1, 1), 2.0))
    torch.testing.assert_close(code, torch.tensor([[36.0, 360.0]]))


def test_the_code_does_not_depend_on_where_things_are() -> None:
    coding = random_coding(1e-3)
    features = torch.randn(1, 5, 4, 6, dtype=torch.float64)
    shuffled = features.flatten(2)[:, :, torch.randperm(24)].reshape(1, 5, 8, 3)
    torch.testing.assert_close(coding(features), coding(shuffled))


def test_the_code_is_the_papers_by_default() -> None:
    coding = FactorisedBilinearCoding(512)
    assert (coding.atoms, coding.rank, coding.sparsity) == (2048, 4, 1e-3)
    assert coding.left.weight.shape == coding.right.weight.shape == (8192, 512, 1, 1)
    assert coding.left.bias is coding.right.bias is None


@pytest.fixture(scope="module")
def network() -> BilinearClassifier:
    torch.manual_seed(0)
    backbone = ResNetBackbone(SETTINGS["resnet18"], levels=(5,))
    return BilinearClassifier(backbone, num_classes=3, atoms=16).eval()


@torch.no_grad()
def test_logits_are_linear_in_signed_square_roots_of_unit_length(
    network: BilinearClassifier,
) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    assert logits.shape == (2, 3)
    codes = network.coding(network.backbone(images)[-1])
    assert codes.abs().max() > 0
    for row, code in zip(logits, codes.tolist(), strict=True):
        root = [math.copysign(math.sqrt(abs(value)), value) for value in code]
        length = math.sqrt(sum(value * value for value in root))
        unit = torch.tensor([value / length for value in root])
        expected = network.classifier.weight @ unit + network.classifier.bias
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("brightness", [0.0, 1e-3, 1.0])
def test_gradients_are_finite_even_where_the_code_is_zero(
    network: BilinearClassifier, brightness: float
) -> None:
    """A black image gives an untrained network features, and so a code, of zero."""
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * brightness
    network.zero_grad()
    network(images).square().sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert [n for n, grad in gradients.items() if grad is None or not grad.isfinite().all()] == []
    assert (gradients["coding.left.weight"].abs().max() > 0) == (brightness == 1.0)


@torch.no_grad()
def test_an_image_without_any_code_gets_the_classifiers_bias(network: BilinearClassifier) -> None:
    torch.testing.assert_close(network(torch.zeros(1, 3, 32, 32))[0], network.classifier.bias)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet50", 2048), ("vgg16", 512), ("vgg11_bn", 512), ("efficientnet_lite0", 320)],
)
def test_any_classifier_can_have_the_head(name: str, channels: int) -> None:
    with torch.device("meta"):
        network = find_variant(f"{name}+bilinear").build(7)
        logits = network.eval()(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 7)
    assert network.coding.left.weight.shape == (8192, channels, 1, 1)
    assert network.classifier.weight.shape == (7, 2048)
