"""One view made of several."""

import random

import torch
from PIL import Image

from models.training.augment.geometry import FILL, Loaded

Tile = tuple[int, int, int, int]
"""Left, top, right, bottom; pixels of the view."""

MARGIN = 0.2  # of the view's side: a tile's least side, as in YOLOv4's own code (Darknet)

# The two photos of a MixUp weigh by Beta(BLEND, BLEND): .5 +- .12. arXiv 1902.04103 draws from
# Beta(1.5, 1.5) and weighs each box's loss by how much of its photo is left. Boxes have no weights
# here, so both photos must remain visible.
BLEND = 8.0


def random_tiles(size: int, rng: random.Random) -> list[Tile]:
    """Four tiles that meet in a random point and fill a ``size`` x ``size`` square."""
    x, y = (rng.randint(round(MARGIN * size), round((1 - MARGIN) * size)) for _ in range(2))
    return [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]


def assemble(views: list[Loaded], tiles: list[Tile], size: int) -> Loaded:
    """A ``size`` x ``size`` mosaic of ``views``, each as large as its tile."""
    canvas = Image.new("RGB", (size, size), FILL)
    moved = []
    for (image, boxes, _), (left, top, _, _) in zip(views, tiles, strict=True):
        canvas.paste(image, (left, top))
        moved.append(boxes + torch.tensor([left, top, left, top]))
    return canvas, torch.cat(moved), torch.cat([labels for _, _, labels in views])


def random_share(rng: random.Random) -> float:
    """How much the first of two views weighs, 0 to 1."""
    return rng.betavariate(BLEND, BLEND)


def blend(first: Loaded, second: Loaded, share: float) -> Loaded:
    """MixUp: ``share`` of the first and 1 - ``share`` of the second, with the boxes of both."""
    image = Image.blend(second[0], first[0], share)
    return image, torch.cat((first[1], second[1])), torch.cat((first[2], second[2]))
