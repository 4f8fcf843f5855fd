"""Photos as a network's inputs, for a loader.

What a sample looks like is decided by the seed, the epoch and its index alone, so that a run can be
repeated with any number of loading processes.
"""

import contextlib
import io
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from models.training.annotations import (
    DataError,
    Fault,
    LabelledPhoto,
    Photo,
)
from models.training.augment import Loaded
from models.training.augment.colour import random_colour, recolour
from models.training.inputs import to_input, training_side
from service.manifest import InputSpec

Sample = tuple[Tensor, Tensor, Tensor]
ClassSample = tuple[Tensor, int]
AnySample = TypeVar("AnySample")
Region = tuple[float, float, float, float]  # left, top, right, bottom in pixels

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # that the service reads
BEHIND_TRANSPARENCY = (255, 255, 255)
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# torchvision's RandomResizedCrop, but for the least area: its .08 is for hundreds of epochs.
CROP_AREA, CROP_RATIO, CROP_ATTEMPTS = (0.35, 1.0), (3 / 4, 4 / 3), 10
COLOUR, HUE = 0.3, 0.02  # as a detector's `Augment` has them


class PhotoError(DataError):
    """A photo that cannot be used, for its one argument, a `Fault`."""

    @property
    def fault(self) -> Fault:
        fault: Fault = self.args[0]
        return fault


def read_photo(path: Path) -> Image.Image:
    """A photo as the service sees it: 8-bit RGB, turned as its EXIF says, white where transparent.

    Raises PhotoError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise PhotoError(Fault(str(path), "missing photo", reason)) from error
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            with contextlib.suppress(Exception):  # damaged EXIF data says nothing of the pixels
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except UnidentifiedImageError as error:
        reason = f"is not in a known format ({', '.join(FORMATS)})"
        raise PhotoError(Fault(str(path), "no image", reason)) from error
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
        reason = f"is damaged or cut short: {error}"
        raise PhotoError(Fault(str(path), "damaged photo", reason)) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point images have no known range of brightness")
    if image.mode.startswith("I"):  # 16 bits, of which Pillow's own conversion would cut the upper
        values = np.asarray(image).astype(np.int32).clip(0, 65535)
        return Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")
    if image.mode != "RGB" and image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, BEHIND_TRANSPARENCY)
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image.convert("RGB")


class Augmentation(Protocol):
    """Makes training views, see `models.training.augment.Augment`."""

    def view(
        self, load: Callable[[int], Loaded], index: int, count: int, size: int, rng: random.Random
    ) -> Loaded:
        """A ``size`` x ``size`` view of photo ``index`` of ``count``; others may be mixed in."""


class EpochDataset(Dataset[AnySample]):
    """A data set whose random choices are of the seed, the epoch and the index.

    `set_epoch` is to be called before each pass of a loader; without it every pass is the same.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # In shared memory: a loader's persistent workers keep the copy of this object that they
        # were started with, and would never hear of a new value of a plain attribute.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the random views of ``epoch``, also in workers that are already running.

        Not during a pass, of which some samples may have been loaded ahead.
        """
        self._epoch.fill_(epoch)

    def rng(self, index: int) -> random.Random:
        """The source of all that is random about a sample."""
        return random.Random(f"{self.seed}/{self.epoch}/{index}")


class DetectionDataset(EpochDataset[Sample]):
    """Photos as network inputs: uint8 [3, H, W], boxes [G, 4] in its pixels, labels [G].

    With ``augment`` a sample is a square view of the photo; without, the whole of it, exactly as
    the service makes it an input of ``spec``.
    """

    def __init__(
        self,
        photos: tuple[Photo, ...],
        spec: InputSpec,
        augment: Augmentation | None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.photos, self.spec, self.augment = photos, spec, augment

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Sample:
        if self.augment is None:
            image, boxes, labels = to_input(self.load(index), self.spec)
        else:
            side = training_side(self.spec)
            image, boxes, labels = self.augment.view(
                self.load, index, len(self), side, self.rng(index)
            )
        return to_tensor(image), boxes, labels

    def load(self, index: int) -> Loaded:
        """A whole photo in RGB, with its boxes in its pixels; raises PhotoError."""
        photo = self.photos[index]
        # Copies: a tensor that a loading process sends away is moved into shared memory, where it
        # holds a file descriptor while it lives, which for the photo's own is the whole run.
        return read_photo(photo.path), photo.boxes.clone(), photo.labels.clone()


class ClassificationDataset(EpochDataset[ClassSample]):
    """Photos as network inputs: uint8 [3, H, W] and their class.

    With ``augment`` a sample is a random part of the photo, flipped and recoloured at random;
    without, the middle of it, exactly as the service cuts it. Raises ValueError if ``spec`` is not
    a classifier's, with a "centre_crop".
    """

    def __init__(
        self, photos: tuple[LabelledPhoto, ...], spec: InputSpec, augment: bool, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if spec.resize != "centre_crop":
            raise ValueError(f"a classifier's input is a centre crop, not {spec.resize}")
        self.photos, self.spec, self.augment = photos, spec, augment

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> ClassSample:
        photo = self.photos[index]
        image = read_photo(photo.path)
        if self.augment:
            image = random_crop(image, self.spec, self.rng(index))
        else:
            image = centre_crop(image, self.spec)
        return to_tensor(image), photo.label


def random_crop(image: Image.Image, spec: InputSpec, rng: random.Random) -> Image.Image:
    """A random part of ``image`` as an input of ``spec``, flipped and recoloured at random."""
    image = _resize(image, random_region(*image.size, rng), spec)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return recolour(image, random_colour(image, COLOUR, HUE, 0.0, rng))


def random_region(width: int, height: int, rng: random.Random) -> Region:
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


def centre_crop(image: Image.Image, spec: InputSpec) -> Image.Image:
    """The shorter side scaled to ``spec.shorter_side`` and the middle cut out, as the service."""
    assert spec.shorter_side is not None  # every centre crop has one
    width, height = (int(spec.shorter_side * side / min(image.size)) for side in image.size)
    left, top = round((width - spec.width) / 2), round((height - spec.height) / 2)
    x, y = width / image.width, height / image.height
    region = (left / x, top / y, (left + spec.width) / x, (top + spec.height) / y)
    return _resize(image, region, spec)


def _resize(image: Image.Image, region: Region, spec: InputSpec) -> Image.Image:
    return image.resize((spec.width, spec.height), RESAMPLING[spec.interpolation], box=region)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as uint8 [3, H, W]."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(image.height, image.width, 3).permute(2, 0, 1)


def collate(samples: list[Sample]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Images of one size, stacked [N, 3, H, W]; boxes and labels stay lists, of any length each."""
    images, boxes, labels = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(labels)


def collate_classes(samples: list[ClassSample]) -> tuple[Tensor, Tensor]:
    """Images stacked [N, 3, H, W], labels int64 [N]."""
    images, labels = zip(*samples, strict=True)
    return torch.stack(images), torch.tensor(labels, dtype=torch.int64)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [N, 3, H, W] -> float32, as the exported graph does it."""
    shape = (1, 3, 1, 1)
    scaled = images.to(torch.float32) / 255
    centre = torch.tensor(mean, device=images.device).reshape(shape)
    return (scaled - centre) / torch.tensor(std, device=images.device).reshape(shape)
