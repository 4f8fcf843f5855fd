"""Annotations in a form that tests compare."""

from models.training.annotations.content import Annotations


def boxes_of(annotations: Annotations) -> dict[str, list[tuple[str, list[float]]]]:
    """(class, box) of each object by photo."""
    return {
        photo.path.name: [
            (annotations.categories[label][1], box)
            for label, box in zip(photo.labels.tolist(), photo.boxes.tolist(), strict=True)
        ]
        for photo in annotations.photos
    }
