"""Annotations in a form that tests make and compare."""

from collections.abc import Iterable
from pathlib import Path

from models.datasets.content import Annotations, Corners, Object, Photo


def make_photo(
    image_id: int,
    path: Path,
    size: tuple[int, int],
    boxes: Iterable[Corners] = (),
    labels: Iterable[int] = (),
) -> Photo:
    """A photo with an object for each box."""
    objects = (Object(label, tuple(box)) for box, label in zip(boxes, labels, strict=True))
    return Photo(image_id, path, *size, tuple(objects))


def boxes_of(annotations: Annotations) -> dict[str, list[tuple[str, list[float]]]]:
    """(class, box) of each learned object by photo."""
    return {
        photo.path.name: [
            (annotations.categories[int(label)][1], box)
            for (label, score), box in zip(
                photo.targets.tolist(), photo.boxes.tolist(), strict=True
            )
            if score
        ]
        for photo in annotations.photos
    }
