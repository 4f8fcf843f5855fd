"""Photos with boxes, from COCO-format annotations."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from models.training.augment import Augment, letterbox

Sample = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Photo:
    """One row of the annotations: boxes float32 [G, 4] xyxy in the photo's pixels, labels [G]."""

    image_id: int
    path: Path
    width: int
    height: int
    boxes: Tensor
    labels: Tensor


@dataclass(frozen=True)
class CocoAnnotations:
    """A COCO instances file: its photos, and its categories in the order of a network's outputs."""

    photos: tuple[Photo, ...]
    categories: tuple[tuple[int, str], ...]

    @classmethod
    def read(cls, annotations: Path, images: Path) -> "CocoAnnotations":
        """Read ``annotations``, whose file names lie in the folder ``images``."""
        content = json.loads(annotations.read_text())
        categories = sorted((c["id"], c["name"]) for c in content["categories"])
        index = {category_id: i for i, (category_id, _) in enumerate(categories)}
        rows: dict[int, list[dict]] = {image["id"]: [] for image in content["images"]}
        for row in content["annotations"]:
            if not row.get("iscrowd"):
                rows[row["image_id"]].append(row)
        photos = []
        for image in content["images"]:
            boxes = torch.tensor([r["bbox"] for r in rows[image["id"]]], dtype=torch.float32)
            boxes = boxes.reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]  # x, y, width, height -> xyxy
            labels = [index[r["category_id"]] for r in rows[image["id"]]]
            photos.append(
                Photo(
                    image["id"],
                    images / image["file_name"],
                    image["width"],
                    image["height"],
                    boxes,
                    torch.tensor(labels, dtype=torch.int64),
                )
            )
        return cls(tuple(photos), tuple(categories))


class DetectionDataset(Dataset[Sample]):
    """Photos as network inputs: uint8 [3, size, size], boxes [G, 4] in its pixels, labels [G].

    Without ``augment`` a photo is letterboxed, exactly as the service does it.
    """

    def __init__(self, photos: tuple[Photo, ...], size: int, augment: Augment | None) -> None:
        self.photos, self.size, self.augment = photos, size, augment

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Sample:
        photo = self.photos[index]
        with Image.open(photo.path) as file:
            image = file.convert("RGB")
        if self.augment is None:
            image, boxes = letterbox(image, photo.boxes, self.size)
            labels = photo.labels
        else:
            image, boxes, labels = self.augment(image, photo.boxes, photo.labels, self.size)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return pixels.reshape(self.size, self.size, 3).permute(2, 0, 1), boxes, labels


def collate(samples: list[Sample]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Images stacked [N, 3, size, size]; boxes and labels stay lists, their lengths differ."""
    images, boxes, labels = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(labels)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [N, 3, H, W] -> float32, as the exported graph does it."""
    shape = (1, 3, 1, 1)
    scaled = images.to(torch.float32) / 255
    centre = torch.tensor(mean, device=images.device).reshape(shape)
    return (scaled - centre) / torch.tensor(std, device=images.device).reshape(shape)
