"""A data set of results as one COCO file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxport_client._results import DetectionResult


def coco_dataset(
    results: Mapping[str, DetectionResult], categories: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """A whole COCO file of results by file name, ready for json.dump; image ids count from 1.

    categories: every label by its id; those that were found, if not given.

    Raises ValueError where one label_id stands for two labels, as in answers of models that were
    trained on different data sets.
    """
    names = dict(categories or {})
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, result) in enumerate(results.items(), start=1):
        size = {"width": result.width, "height": result.height}
        images.append({"id": image_id, "file_name": file_name, **size})
        annotations += result.to_coco(image_id, len(annotations) + 1)
        for detection in result:
            name = names.setdefault(detection.label_id, detection.label)
            if name != detection.label:
                raise ValueError(
                    f"{file_name}: label_id {detection.label_id} is {detection.label!r} here and"
                    f" {name!r} elsewhere; write a file for each model"
                )
    return {
        "info": {"description": "Detections by Boxport"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": label_id, "name": name, "supercategory": ""}
            for label_id, name in sorted(names.items())
        ],
    }
