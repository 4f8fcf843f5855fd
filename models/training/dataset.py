"""Photos as training samples, for a loader.

A sample depends on the seed, the epoch and its index alone, so that a run can be repeated with any
number of loader processes.
"""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.content import LabelledPhoto, Photo
from models.training.augment import Augment
from models.training.augment.colour import random_colour, recolour
from models.training.augment.geometry import Loaded
from service.imaging.files import read_image
from service.imaging.input_spec import CentreCrop, InputSpec, ShorterSide, WholeInput
from service.imaging.resize import RESAMPLING, Box, ModelInput, resample

Sample = tuple[Tensor, Tensor, Tensor]
ClassSample = tuple[Tensor, int]
AnySample = TypeVar("AnySample")

# torchvision's RandomResizedCrop, but for the least area: its .08 is for hundreds of epochs.
CROP_AREA, CROP_RATIO, CROP_ATTEMPTS = (0.35, 1.0), (3 / 4, 4 / 3), 10
COLOUR, HUE = 0.3, 0.02  # as a detector's `Augment` has them


class EpochDataset(Dataset[AnySample]):
    """A data set whose random choices depend on the seed, the epoch and the index alone.

    An index beyond the photos counts them again from the first: another view of the same photo.

    `set_epoch` is to be called before each pass of a loader; without it every pass is the same.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # In shared memory: a loader's persistent workers keep the copy of this object that they
        # were started with, and would never hear of a new value of a plain attribute.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch whose random views are made, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the random views of ``epoch``, also in workers that are already running.

        Not during a pass, of which some samples may have been loaded ahead.
        """
        self._epoch.fill_(epoch)

    def rng(self, index: int) -> random.Random:
        """The random generator of sample ``index``."""
        return random.Random(f"{self.seed}/{self.epoch}/{index}")


class DetectionDataset(EpochDataset[Sample]):
    """Square views of photos: uint8 [3, H, W], boxes float32 [G, 4] xyxy in its pixels, and their
    targets as `Photo` has them, float32 [G, 2]."""

    def __init__(
        self, photos: tuple[Photo, ...], spec: WholeInput, augment: Augment, seed: int = 0
    ) -> None:
        super().__init__(seed)
        # Not the photos: each loading process would come to have its own copy of their objects.
        self.photos = [(photo.path, photo.boxes, photo.targets) for photo in photos]
        self.augment, self.side = augment, training_side(spec)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Sample:
        photo = index % len(self)
        image, boxes, targets = self.augment.view(
            self.load, photo, len(self), self.side, self.rng(index)
        )
        return to_tensor(image), boxes, targets

    def load(self, index: int) -> Loaded:
        """A whole photo in RGB, with its boxes in its pixels; raises PhotoError."""
        path, boxes, targets = self.photos[index]
        # Copies: a tensor that a loading process sends away is moved into shared memory, where it
        # holds a file descriptor while it lives, which for the photo's own is the whole run.
        return read_image(path), boxes.clone(), targets.clone()


class ClassificationDataset(EpochDataset[ClassSample]):
    """Random parts of photos, flipped and recoloured: uint8 [3, H, W]; and their class, int."""

    def __init__(self, photos: tuple[LabelledPhoto, ...], spec: CentreCrop, seed: int = 0) -> None:
        super().__init__(seed)
        self.photos, self.spec = photos, spec

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> ClassSample:
        photo = self.photos[index % len(self)]
        image = random_crop(read_image(photo.path), self.spec, self.rng(index))
        return to_tensor(image), photo.label


def training_side(spec: InputSpec) -> int:
    """Side of the square views that a network is trained on, in pixels.

    Where inputs vary in size it is that of their shorter side: a view is a part of the photo at the
    scale that the service gives it, since what varies makes no batch.
    """
    return spec.shorter_side if isinstance(spec, ShorterSide) else spec.height


def random_crop(image: Image.Image, spec: CentreCrop, rng: random.Random) -> Image.Image:
    """A random part of ``image`` as an input of ``spec``, flipped and recoloured at random."""
    region = random_region(*image.size, rng)
    method = RESAMPLING[spec.interpolation]
    image = resample(image, (spec.width, spec.height), method, region, exact=True)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return recolour(image, random_colour(image, COLOUR, HUE, 0.0, rng))


def random_region(width: int, height: int, rng: random.Random) -> Box:
    """Part of a photo, of random area and aspect ratio; the middle if its shape allows for none."""
    for _ in range(CROP_ATTEMPTS):
        area = rng.uniform(*CROP_AREA) * width * height
        ratio = math.exp(rng.uniform(*map(math.log, CROP_RATIO)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    half_width = min(width, height * CROP_RATIO[1]) / 2
    half_height = min(height, width / CROP_RATIO[0]) / 2
    x, y = width / 2, height / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as uint8 [3, H, W]."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(image.height, image.width, 3).permute(2, 0, 1)


def stack(inputs: Sequence[ModelInput]) -> Tensor:
    """Inputs of one size as uint8 [N, 3, H, W]."""
    return torch.from_numpy(np.stack([x.pixels for x in inputs])).permute(0, 3, 1, 2)


def collate(samples: list[Sample]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Images of one size, stacked [N, 3, H, W]; boxes and targets stay lists, of any length."""
    images, boxes, targets = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(targets)


def normalise(images: Tensor, spec: InputSpec) -> Tensor:
    """uint8 [N, 3, H, W] -> float32, channels last, as the exported graph does it."""
    mean, std = torch.tensor((spec.mean, spec.std), device=images.device).reshape(2, 3, 1, 1)
    if spec.channel_order == "bgr":
        images = images.flip(1)
    scaled = images.contiguous(memory_format=torch.channels_last).to(torch.float32) / spec.unit
    return (scaled - mean) / std
