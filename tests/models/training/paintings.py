"""Photos with painted objects, whose places can be read from their colours."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw

from models.training.augment import Augment
from models.training.augment.geometry import (
    Loaded,
)
from models.variants import VARIANTS, at_size

COLOURS = tuple(itertools.product((0, 255), repeat=3))
GREY = (128, 128, 128)
VARYING = at_size(VARIANTS["retinanet_resnet18_fpn"], 256).input
EVERYTHING = Augment(
    aspect=0.3, rotation=20.0, lighting=0.1, noise=5.0, mosaic=0.5, mixup=0.5, hue=0.1
)
TOLERANCE = 1.5  # pixels

Load = Callable[[int], Loaded]


def painting(
    boxes: list[tuple[int, int, int, int]],
    labels: list[int],
    size: tuple[int, int] = (500, 375),
    shape: str = "ellipse",
) -> Loaded:
    """Grey, with an object in its label's colour that fills each box."""
    image = Image.new("RGB", size, GREY)
    draw = getattr(ImageDraw.Draw(image), shape)
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        draw((left, top, right - 1, bottom - 1), fill=COLOURS[label])
    return image, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(labels)


def gallery(shape: str, seed: int) -> Load:
    """Paintings of two objects, apart from each other; those of the first four have own labels."""
    rng, labels = random.Random(seed), itertools.cycle(range(8))

    def load(_: int) -> Loaded:
        width, height = rng.choice([(500, 375), (375, 500), (400, 400)])
        boxes = []
        for side in (0, width // 2):  # one in each half
            left, top = side + rng.randint(0, width // 4), rng.randint(0, height // 2)
            right = rng.randint(left + 10, side + width // 2)
            boxes.append((left, top, right, rng.randint(top + 10, height)))
        return painting(boxes, [next(labels), next(labels)], (width, height), shape)

    return load


def extents(image: Image.Image) -> dict[int, torch.Tensor]:
    """The box around the pixels that are nearer to a label's colour than to grey, by label."""
    pixels = np.asarray(image, dtype=np.int16)
    nearer = np.minimum(pixels, 255 - pixels).sum(-1) < np.abs(pixels - GREY).sum(-1)
    nearest = np.where(nearer, (pixels >= GREY) @ [4, 2, 1], -1)  # COLOURS count in binary
    boxes = {}
    for label in set(np.unique(nearest).tolist()) - {-1}:
        rows, columns = (np.flatnonzero((nearest == label).any(axis)) for axis in (1, 0))
        corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        boxes[label] = torch.tensor(np.array(corners), dtype=torch.float32)
    return boxes


def assert_on_objects(view: Loaded, shape: str) -> None:
    """Each box encloses its object, and fits it too."""
    image, boxes, labels = view
    assert boxes.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert ((boxes >= 0) & (boxes <= torch.tensor(image.size).repeat(2))).all()
    seen = extents(image)
    for box, label in zip(boxes, labels.tolist(), strict=True):
        excess = (seen[label] - box) * torch.tensor([-1, -1, 1, 1])  # of the object over the box
        assert (excess <= TOLERANCE).all(), (label, box, seen[label])
        if shape == "rectangle":
            assert (excess >= -TOLERANCE).all(), (label, box, seen[label])
        # What is left of an ellipse may not reach as far as what is left of its box, and the tips
        # of a narrow one fade into the grey before they end.
        elif not is_cut_off(image, seen[label]):
            assert (excess >= -2 * TOLERANCE).all(), (label, box, seen[label])


def is_cut_off(image: Image.Image, extent: torch.Tensor) -> bool:
    """Whether an object ends at the edge of the view."""
    return bool((extent[:2] == 0).any() or (extent[2:] == torch.tensor(image.size)).any())


def same(first: Loaded, second: Loaded) -> bool:
    return first[0].tobytes() == second[0].tobytes() and all(
        torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True)
    )
