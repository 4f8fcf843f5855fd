"""Changes to a photo's colours, which leave its boxes alone."""

import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Matrix = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's grey
YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC's, of RGB
RGB = np.linalg.inv(YIQ)

# Of the covariance of ImageNet's red, green and blue, 0 to 1: the eigenvalues, and the eigenvectors
# in columns. Widely used since fb.resnet.torch (datasets/imagenet.lua).
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def random_colour(
    image: Image.Image, colour: float, hue: float, lighting: float, rng: random.Random
) -> Matrix:
    """A random change of ``image``'s colours; the amounts are those of ``Augment``."""
    brightness, contrast, saturation = (rng.uniform(1 - colour, 1 + colour) for _ in range(3))
    offset = light(np.array([rng.gauss(0, lighting) for _ in range(3)]))
    turn = rng.uniform(-hue, hue)
    # Half a grey level off is no matter for the point about which contrast changes.
    mean = image.reduce(image.size).getpixel((0, 0)) if colour else (0, 0, 0)
    return colour_matrix(brightness, contrast, saturation, turn, offset, float(LUMA @ mean))


def colour_matrix(
    brightness: float, contrast: float, saturation: float, hue: float, offset: Matrix, grey: float
) -> Matrix:
    """Brightness, contrast, saturation and hue changed in this order, as one matrix [3, 4].

    Each of the steps is linear, so the matrix is exact but for clipping, which it leaves to the
    end where Pillow's ``ImageEnhance`` clips, and rounds, at each step.

    brightness, contrast, saturation: factors, 1 for no change.
    hue: by how much of the circle colours are turned, in YIQ, so that their luma stays.
    offset: added to red, green and blue; grey levels.
    grey: the photo's mean luma, which contrast leaves as brightness made it; grey levels.
    """
    cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
    turned = RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ YIQ
    saturated = saturation * np.eye(3) + (1 - saturation) * LUMA
    # What is added to all channels alike is grey, which neither saturation nor hue changes.
    added = brightness * (1 - contrast) * grey + offset
    return np.column_stack((brightness * contrast * turned @ saturated, added))


def light(coefficients: Matrix) -> Matrix:
    """PCA lighting noise: grey levels [3] to add to red, green and blue (AlexNet, section 4.1)."""
    return 255 * EIGENVECTORS @ (coefficients * EIGENVALUES)


def recolour(image: Image.Image, matrix: Matrix) -> Image.Image:
    """Each pixel's (red, green, blue, 1) times ``matrix`` [3, 4], rounded and clipped to 0..255."""
    if np.allclose(matrix, np.eye(3, 4), rtol=0, atol=1e-6):
        return image
    return image.convert("RGB", tuple(matrix.ravel().tolist()))


def add_noise(image: Image.Image, deviation: float, rng: random.Random) -> Image.Image:
    """Gaussian noise, independent in every pixel and channel. deviation: in grey levels."""
    if not deviation:
        return image
    # Python's generator would take a second for what numpy's does in milliseconds.
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(
        (image.height, image.width, 3), dtype=np.float32
    )
    noise *= deviation
    noise += np.asarray(image)
    return Image.fromarray(noise.round(out=noise).clip(0, 255, out=noise).astype(np.uint8))
