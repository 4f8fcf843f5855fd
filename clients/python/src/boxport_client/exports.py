"""Detections in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boxport_client.errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv

    from boxport_client.results import DetectionResult


def coco_annotations(
    result: DetectionResult, image_id: int, first_annotation_id: int = 1
) -> list[dict[str, Any]]:
    """The detections as COCO annotations that also have the score; boxes are x, y, width, height.

    They serve as a file's annotations (Lin et al. 2014) and, for pycocotools' loadRes, as results.
    """
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": detection.label_id,
            "bbox": list(detection.box.xywh),
            "area": detection.box.area,
            "iscrowd": 0,
            "score": detection.score,
        }
        for number, detection in enumerate(result.detections, start=first_annotation_id)
    ]


def coco_dataset(
    results: Mapping[str, DetectionResult], categories: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """A whole COCO file of results by file name, ready for json.dump; image ids count from 1.

    categories: every label by its id; those that were found, if not given.

    Raises ValueError where one label_id stands for two labels, as it does in answers of models of
    different data sets.
    """
    names = dict(categories or {})
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, result) in enumerate(results.items(), start=1):
        size = {"width": result.width, "height": result.height}
        images.append({"id": image_id, "file_name": file_name, **size})
        annotations += coco_annotations(result, image_id, len(annotations) + 1)
        for detection in result.detections:
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


def data_frame(result: DetectionResult) -> pd.DataFrame:
    """A row a detection; the columns have their types even if there is none."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("to_pandas needs pandas: pip install pandas") from error
    rows = [(d.label, d.label_id, d.score, *d.box) for d in result.detections]
    columns = ("label", "label_id", "score", "left", "top", "right", "bottom")
    numbers = dict.fromkeys(columns[2:], "float64")
    frame = pd.DataFrame.from_records(rows, columns=list(columns))
    return frame.astype({"label": "str", "label_id": "int64", **numbers})


def supervision_detections(result: DetectionResult) -> sv.Detections:
    """Arrays xyxy float32 [N, 4], confidence float32 [N], class_id int [N], class_name str [N]."""
    try:
        import numpy as np
        import supervision as sv
    except ImportError as error:
        raise MissingExtra("to_supervision needs supervision: pip install supervision") from error
    found = result.detections
    return sv.Detections(
        xyxy=np.array([d.box for d in found], dtype=np.float32).reshape(-1, 4),
        confidence=np.array([d.score for d in found], dtype=np.float32),
        class_id=np.array([d.label_id for d in found], dtype=int),
        data={"class_name": np.array([d.label for d in found], dtype=str)},
    )
