"""Photos whose objects have outlines, as training samples, for a loader."""

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contours import clip_contours, resample, signed_area
from models.datasets.content import Object, Photo
from models.snake import VERTICES
from models.training.augment import Augment
from models.training.augment.geometry import visible
from models.training.dataset import EpochDataset, to_tensor, training_side
from service.imaging.files import read_image
from service.imaging.input_spec import WholeInput

OutlineSample = tuple[Tensor, Tensor, Tensor, Tensor]
OutlineBatch = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]

# Of an object's area, what the largest of its polygons must have: what hides more of it, or the
# photo's edge, leaves no one outline to learn.
LARGEST_PART = 0.7
DENSE = 8 * VERTICES  # points of a polygon that is clipped
JITTER = 0.08  # standard deviation of a side's place, as a share of the box


class OutlineDataset(EpochDataset[OutlineSample]):
    """Square views of photos: uint8 [3, H, W], boxes float32 [G, 4] xyxy in its pixels, their
    targets as `Photo` has them, float32 [G, 2], and their outlines [G, 128, 2], NaN where an object
    has none to learn. Of an augmentation's mosaics and blends there are none."""

    def __init__(
        self, photos: tuple[Photo, ...], spec: WholeInput, augment: Augment, seed: int = 0
    ) -> None:
        super().__init__(seed)
        self.photos = [
            (photo.path, photo.boxes, photo.targets, [polygon_of(o) for o in photo.objects])
            for photo in photos
        ]
        self.augment, self.side = augment, training_side(spec)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> OutlineSample:
        path, boxes, targets, polygons = self.photos[index % len(self)]
        canvas = (self.side, self.side)
        view, warp = self.augment.place(read_image(path), canvas, self.rng(index))
        shown, kept = visible(warp.move(boxes), torch.arange(len(boxes)), canvas)
        goals = torch.full((len(kept), VERTICES, 2), torch.nan)
        for place, number in enumerate(kept.tolist()):
            if (polygon := polygons[number]) is not None:
                goals[place] = to_goal(warp.move_points(torch.from_numpy(polygon)), self.side)
        return to_tensor(view), shown, targets[kept], goals


def polygon_of(thing: Object) -> NDArray[np.float32] | None:
    """The one polygon float32 [P, 2] that is an object's outline; None if it has none, or is in
    parts of which none has `LARGEST_PART` of its area."""
    if thing.outline is None or thing.ignored:
        return None
    areas = [abs(float(signed_area(torch.from_numpy(part)))) for part in thing.outline]
    largest = int(np.argmax(areas))
    enough = areas[largest] > 0 and areas[largest] >= LARGEST_PART * sum(areas)
    return thing.outline[largest] if enough else None


def to_goal(polygon: Tensor, side: int) -> Tensor:
    """``polygon`` [P, 2] as a snake is to follow it in a view of ``side``: [128, 2].

    What lies beyond the view goes to its edge, point by point: moved there, the vertices of a long
    edge would take with them what of it is seen.
    """
    polygon = polygon.flip(0) if signed_area(polygon) > 0 else polygon
    return resample(clip_contours(resample(polygon, DENSE), side, side), VERTICES)


def collate_outlines(samples: list[OutlineSample]) -> OutlineBatch:
    """Images stacked [N, 3, H, W]; what is of objects stays lists, of any length."""
    images, boxes, targets, goals = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(targets), list(goals)


def jitter(boxes: Tensor, rng: random.Random) -> Tensor:
    """``boxes`` [M, 4] as a detector finds them, each side a little off."""
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    moved = JITTER * torch.randn(boxes.shape, generator=generator).to(boxes.device)
    return boxes + moved * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
