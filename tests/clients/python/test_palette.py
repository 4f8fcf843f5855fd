"""Colours of labels can be told apart, and the text on them can be read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from boxport_client._palette import PALETTE, contrast, label_colour, text_colour

VOC = range(1, 21)
COCO = sorted(set(range(1, 91)) - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})


def oklab(colours: object) -> np.ndarray:
    """sRGB in 0..255 [N, 3] -> lightness, a, b (Ottosson 2020)."""
    share = np.asarray(colours) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear @ np.transpose(to_lms)) @ np.transpose(to_lab)


def test_palette_is_made_as_its_docstring_says() -> None:
    steps = np.arange(0, 256, 17)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab(colours)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    allowed = (lab[:, 0] >= 0.48) & (lab[:, 0] <= 0.9) & (chroma >= 0.07) & (chroma <= 0.27)
    colours, lab = colours[allowed], lab[allowed]
    apart = np.linalg.norm(lab[:, None] - oklab(PALETTE[:10]), axis=-1).min(axis=1)
    chosen = []
    while len(chosen) < len(PALETTE) - 10:
        farthest = apart.argmax()
        chosen.append(tuple(colours[farthest].tolist()))
        apart = np.minimum(apart, np.linalg.norm(lab - lab[farthest], axis=-1))
    assert tuple(chosen) == PALETTE[10:]


@pytest.mark.parametrize(("ids", "least"), [(VOC, 11), (COCO, 6)], ids=["VOC", "COCO"])
def test_labels_of_a_data_set_can_be_told_apart(ids: list[int], least: float) -> None:
    """By CIEDE2000, of which 1 is seen side by side, and 5 without comparing."""
    color = pytest.importorskip("skimage.color")
    lab = color.rgb2lab(np.array([label_colour(label_id) for label_id in ids]) / 255)
    pairs = np.array(list(itertools.combinations(range(len(lab)), 2)))
    differences = color.deltaE_ciede2000(lab[pairs[:, 0]], lab[pairs[:, 1]])
    assert differences.min() > least
    assert (differences < 10).mean() < 0.02


def test_any_id_has_a_colour_that_stays() -> None:
    assert label_colour(8) == label_colour(8) == PALETTE[8]
    assert label_colour(96) == label_colour(0)
    assert label_colour(10**6) in PALETTE
    assert label_colour(-1) in PALETTE


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((255, 255, 255), (0x76, 0x76, 0x76)) == pytest.approx(4.54, abs=0.005)
    assert contrast((9, 9, 9), (9, 9, 9)) == 1


def test_text_can_be_read_on_every_colour() -> None:
    greys = [(value, value, value) for value in range(256)]
    for colour in (*PALETTE, *greys):
        assert contrast(text_colour(colour), colour) >= 4.5
    assert text_colour((255, 255, 0)) == (0, 0, 0)
    assert text_colour((0, 0, 200)) == (255, 255, 255)
