"""The lower bound and its parts against float64 arithmetic, and against draws."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from models.vae import (
    SETTINGS,
    SIDE,
    AutoEncoder,
    Encoded,
    elbo,
    kl_divergence,
    log_likelihood,
    reconstruction_error,
)

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(5, 8))
LOG_VARIANCE = RNG.normal(scale=1.5, size=(5, 8))


def naive_kl(mean: float, log_variance: float) -> float:
    """Kingma and Welling, appendix B, number by number."""
    variance = math.exp(log_variance)
    return -0.5 * (1 + math.log(variance) - mean**2 - variance)


def test_kl_is_the_closed_form_in_float64() -> None:
    expected = [
        sum(naive_kl(m, v) for m, v in zip(*row, strict=True))
        for row in zip(MEAN.tolist(), LOG_VARIANCE.tolist(), strict=True)
    ]
    exact = kl_divergence(torch.tensor(MEAN), torch.tensor(LOG_VARIANCE))
    assert exact.tolist() == pytest.approx(expected, rel=1e-12)
    single = kl_divergence(torch.tensor(MEAN).float(), torch.tensor(LOG_VARIANCE).float())
    assert single.tolist() == pytest.approx(expected, rel=1e-5)


def test_kl_is_what_draws_of_z_give() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.tensor(MEAN), torch.tensor(LOG_VARIANCE / 2).exp()
    noise = torch.randn(20_000, *mean.shape, generator=generator, dtype=torch.float64)
    z = mean + noise * deviation
    drawn = (Normal(mean, deviation).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2).mean(0)
    exact = kl_divergence(mean, torch.tensor(LOG_VARIANCE))
    assert drawn.tolist() == pytest.approx(exact.tolist(), rel=0.05)


def test_kl_of_the_prior_is_0_and_its_gradient_too() -> None:
    mean = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    log_variance = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    divergence = kl_divergence(mean, log_variance)
    divergence.sum().backward()
    assert divergence.tolist() == [0, 0]
    assert not mean.grad.any()
    assert not log_variance.grad.any()


def test_likelihood_and_bound_in_float64() -> None:
    images, found = RNG.normal(size=(2, 5, 3, 4, 4))
    sigma = 0.3
    expected = [
        sum(
            -((x - y) ** 2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
            for x, y in zip(*pair, strict=True)
        )
        for pair in zip(images.reshape(5, -1).tolist(), found.reshape(5, -1).tolist(), strict=True)
    ]
    pair = torch.tensor(images), torch.tensor(found)
    assert log_likelihood(*pair, sigma).tolist() == pytest.approx(expected, rel=1e-12)
    encoded = Encoded(pair[1], torch.tensor(MEAN), torch.tensor(LOG_VARIANCE))
    divergence = kl_divergence(encoded.mean, encoded.log_variance)
    bound = [value - kl for value, kl in zip(expected, divergence.tolist(), strict=True)]
    assert elbo(pair[0], encoded, sigma).tolist() == pytest.approx(bound, rel=1e-12)
    plain = Encoded(pair[1], torch.tensor(MEAN), None)
    assert elbo(pair[0], plain, sigma).tolist() == pytest.approx(expected, rel=1e-12)
    errors = ((images - found) ** 2).reshape(5, -1).mean(axis=1)
    assert reconstruction_error(*pair).tolist() == pytest.approx(errors.tolist(), rel=1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_view_comes_back_in_its_shape_and_draws_are_for_training_alone(name: str) -> None:
    torch.manual_seed(0)
    network = AutoEncoder(SETTINGS[name])
    images = torch.randn(2, 3, SIDE, SIDE)
    varies = not torch.equal(*(network(images).reconstruction for _ in range(2)))
    assert varies == SETTINGS[name].variational
    network.eval()
    first, second = (network(images) for _ in range(2))
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert first.reconstruction.shape == images.shape
    assert first.mean.shape == (2, SETTINGS[name].latent)
    assert (first.log_variance is None) == (not SETTINGS[name].variational)
    assert not [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
