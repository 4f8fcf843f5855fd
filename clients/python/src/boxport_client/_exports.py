"""Detections in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boxport_client._detections import Detection
from boxport_client._errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv


def coco_annotations(
    detections: Sequence[Detection], image_id: int, first_annotation_id: int
) -> list[dict[str, Any]]:
    """COCO annotations that also have the score; boxes are x, y, width, height in pixels.

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
        for number, detection in enumerate(detections, start=first_annotation_id)
    ]


def data_frame(detections: Sequence[Detection]) -> pd.DataFrame:
    """One row per detection; the columns have their types even if there is none."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("to_pandas needs pandas: pip install pandas") from error
    rows = [(d.label, d.label_id, d.score, *d.box) for d in detections]
    columns = ("label", "label_id", "score", "left", "top", "right", "bottom")
    numbers = dict.fromkeys(columns[2:], "float64")
    frame = pd.DataFrame.from_records(rows, columns=list(columns))
    return frame.astype({"label": "str", "label_id": "int64", **numbers})


def supervision_detections(detections: Sequence[Detection]) -> sv.Detections:
    """Arrays xyxy float32 [N, 4], confidence float32 [N], class_id int [N], class_name str [N]."""
    try:
        import numpy as np
        import supervision as sv
    except ImportError as error:
        raise MissingExtra("to_supervision needs supervision: pip install supervision") from error
    return sv.Detections(
        xyxy=np.array([d.box for d in detections], dtype=np.float32).reshape(-1, 4),
        confidence=np.array([d.score for d in detections], dtype=np.float32),
        class_id=np.array([d.label_id for d in detections], dtype=int),
        data={"class_name": np.array([d.label for d in detections], dtype=str)},
    )
