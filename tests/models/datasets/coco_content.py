"""A COCO file of two photos, for tests to damage and read."""

import json
from pathlib import Path
from typing import Any

from models.datasets.coco import read_coco
from models.datasets.content import Annotations, Reading

Content = dict[str, Any]
GOOD_BOXES = {
    "a.jpg": [("cat", [10.0, 20.0, 40.0, 60.0]), ("dog", [50.5, 0.0, 70.5, 10.25])],
    "b.jpg": [("dog", [0.0, 0.0, 60.0, 60.0])],
}


def coco_content() -> Content:
    """Two photos and three boxes, without a fault."""
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 4, "file_name": "more/b.jpg", "width": 60, "height": 60},
        ],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]},
            {"id": 12, "image_id": 4, "category_id": 9, "bbox": [0, 0, 60, 60.0], "iscrowd": 0},
            {"id": 13, "image_id": 7, "category_id": 9, "bbox": [50.5, 0, 20, 10.25]},
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def read_content(folder: Path, content: Any) -> Reading[Annotations]:
    file = folder / "train.json"
    file.write_text(json.dumps(content))
    return read_coco(file, folder)
