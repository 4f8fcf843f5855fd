"""The matrices that change colours."""

import random

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageStat

from models.training.augment.colour import (
    EIGENVALUES,
    EIGENVECTORS,
    LUMA,
    add_noise,
    colour_matrix,
    light,
    random_colour,
    recolour,
)

NOTHING = np.zeros(3)


def muted_photo() -> Image.Image:
    """Random colours in the middle of the range, which no moderate change clips."""
    pixels = np.random.default_rng(0).integers(90, 150, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def difference(first: Image.Image, second: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int))


@pytest.mark.parametrize("brightness", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("contrast", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("saturation", [0.7, 1.0, 1.3])
def test_the_matrix_does_what_pillows_enhancers_do_one_by_one(
    brightness: float, contrast: float, saturation: float
) -> None:
    expected = image = muted_photo()
    grey = ImageStat.Stat(image.convert("L")).mean[0]
    for enhancer, factor in (
        (ImageEnhance.Brightness, brightness),
        (ImageEnhance.Contrast, contrast),
        (ImageEnhance.Color, saturation),
    ):
        expected = enhancer(expected).enhance(factor)
    matrix = colour_matrix(brightness, contrast, saturation, 0.0, NOTHING, grey)
    # Pillow rounds down at each of the three steps.
    assert difference(recolour(image, matrix), expected).max() <= 3


def test_a_turn_of_hue_keeps_luma_and_greys() -> None:
    turned = recolour(muted_photo(), colour_matrix(1, 1, 1, 0.1, NOTHING, 0))
    luma = np.asarray(turned) @ LUMA - np.asarray(muted_photo()) @ LUMA
    assert np.abs(luma).max() <= 0.6
    assert difference(turned, muted_photo()).max() > 10
    grey = Image.new("RGB", (4, 4), (77, 77, 77))
    assert recolour(grey, colour_matrix(1, 1, 1, 0.3, NOTHING, 0)).tobytes() == grey.tobytes()


def test_hues_go_round_a_circle() -> None:
    third = colour_matrix(1, 1, 1, 1 / 3, NOTHING, 0)[:, :3]
    np.testing.assert_allclose(third @ third @ third, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_changes_by_nothing_are_the_identity(seed: int) -> None:
    image = Image.effect_noise((50, 40), 80).convert("RGB")
    matrix = random_colour(image, 0.0, 0.0, 0.0, random.Random(seed))
    assert recolour(image, matrix).tobytes() == image.tobytes()


def test_colours_are_clipped() -> None:
    image = Image.fromarray(np.array([[[0, 128, 255]]], dtype=np.uint8))
    brighter = recolour(image, colour_matrix(1, 1, 1, 0, np.full(3, 60.0), 0))
    darker = recolour(image, colour_matrix(1, 1, 1, 0, np.full(3, -60.0), 0))
    assert np.asarray(brighter).tolist() == [[[60, 188, 255]]]
    assert np.asarray(darker).tolist() == [[[0, 68, 195]]]


def test_colours_vary_within_their_range_and_around_the_photos_own() -> None:
    image = muted_photo()
    means = [
        np.asarray(
            recolour(image, random_colour(image, 0.3, 0.05, 0.0, random.Random(seed)))
        ).mean()
        for seed in range(300)
    ]
    own = np.asarray(image).mean()
    assert np.mean(means) == pytest.approx(own, rel=0.03)
    assert 0.69 * own < min(means) < 0.75 * own
    assert 1.25 * own < max(means) < 1.31 * own


def test_lighting_varies_along_the_principal_axes_of_natural_colours() -> None:
    image = muted_photo()
    offsets = np.stack(
        [random_colour(image, 0.0, 0.0, 0.1, random.Random(seed))[:, 3] for seed in range(3000)]
    )
    deviations = 255 * 0.1 * EIGENVALUES
    np.testing.assert_allclose(offsets.mean(axis=0), 0, atol=0.25)
    np.testing.assert_allclose((offsets @ EIGENVECTORS).std(axis=0), deviations, rtol=0.05)
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=1e-3)
    assert light(np.array([1.0, 0, 0])).tolist() == pytest.approx(
        [-31.47, -32.21, -32.37], abs=0.01
    )


def test_noise_has_its_deviation_and_no_mean() -> None:
    image = Image.new("RGB", (200, 150), (120, 128, 136))
    noise = np.asarray(add_noise(image, 12.0, random.Random(0)), dtype=float) - np.asarray(image)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.3)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 12, rtol=0.02)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("level", [0, 255])
def test_noise_is_clipped(level: int) -> None:
    image = Image.new("RGB", (100, 100), (level,) * 3)
    noisy = difference(add_noise(image, 12.0, random.Random(0)), image)
    assert noisy.max() < 100  # 250 where a value went round
    assert 0.4 < (noisy == 0).mean() < 0.6


def test_no_noise_is_the_identity() -> None:
    assert add_noise(muted_photo(), 0.0, random.Random(0)).tobytes() == muted_photo().tobytes()
