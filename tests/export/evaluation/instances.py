"""Objects in three of the sample photos, as a COCO instances file states them."""

import json
from pathlib import Path

from service.manifest import Label

CAT, DOG = Label(id=8, name="cat"), Label(id=12, name="dog")

INSTANCES = {
    "images": [
        {"id": 3, "file_name": "cat.jpg", "width": 451, "height": 300},
        {"id": 4, "file_name": "coffee.jpg", "width": 600, "height": 400},
        {"id": 5, "file_name": "rocket.jpg", "width": 640, "height": 427},
    ],
    "categories": [{"id": 8, "name": "cat"}, {"id": 12, "name": "dog"}, {"id": 0, "name": "x"}],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 8, "bbox": [19, 10, 408, 290]},
        {"id": 2, "image_id": 5, "category_id": 12, "bbox": [9, 10, 900, 90], "iscrowd": 1},
    ],
}


def write_instances(folder: Path, **changes: object) -> Path:
    """`INSTANCES` with ``changes``, as a file."""
    path = folder / "instances.json"
    path.write_text(json.dumps({**INSTANCES, **changes}))
    return path
