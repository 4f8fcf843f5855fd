"""Annotations whose classes have other names or ids than the model's labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from export.errors import ExportError
from models.datasets.content import Annotations
from service.manifest import Label


class ClassMapError(ExportError):
    """A class map that cannot be read, or names what is not there; the message says which."""


def read_class_map(path: Path) -> dict[str, str]:
    """Names of the annotations' categories and the model's labels that they stand for, from a JSON
    or YAML file: ``{"aeroplane": "airplane"}``. Raises ClassMapError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))  # JSON is YAML
    except OSError as error:
        raise ClassMapError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClassMapError(f"{path}: is neither JSON nor YAML") from error
    if not isinstance(content, dict):
        raise ClassMapError(f"{path}: must hold names by names, such as {{tvmonitor: tv}}")
    return {str(name): str(label) for name, label in content.items()}


def with_labels(
    annotations: Annotations, labels: Sequence[Label], class_map: Mapping[str, str], source: Path
) -> Annotations:
    """``annotations`` with the model's ``labels`` for categories: those that ``class_map`` names,
    and those that are called as a label is. Objects of others are left out, as the model has no
    word for them. Raises ClassMapError."""
    places = {label.name: place for place, label in enumerate(labels)}
    names = [name for _, name in annotations.categories]
    for name, label in class_map.items():
        if name not in names:
            raise ClassMapError(f"{source}: has no category {name!r}, which the class map names")
        if label not in places:
            raise ClassMapError(f"the model has no label {label!r}, which the class map names")
    standing = [places.get(class_map.get(name, name)) for name in names]
    photos = tuple(
        replace(
            photo,
            objects=tuple(
                replace(thing, label=place)
                for thing in photo.objects
                if (place := standing[thing.label]) is not None
            ),
        )
        for photo in annotations.photos
    )
    return Annotations(photos, tuple((label.id, label.name) for label in labels))
