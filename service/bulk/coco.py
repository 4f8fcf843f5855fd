"""A job's detections as one COCO file, with scores (Lin et al. 2014)."""

from collections.abc import Iterator
from typing import IO, Any

import orjson

from service.bulk.errors import BulkError
from service.bulk.folder import Folder
from service.bulk.parts import Parts
from service.manifest import ModelManifest
from service.terminal import one_line

DECIMALS = 3  # of a pixel, as the engine's boxes have


def write_coco(parts: Parts, manifest: ModelManifest, folder: Folder, name: str) -> None:
    """Write the file ``name`` in ``folder``; the parts are read twice, not held in memory.

    Photo n, counted from 0, is the image with the id n + 1. Photos that failed are left out: COCO
    has no place for errors. Raises BulkError.
    """
    try:
        with folder.write(name) as file:
            file.write(b'{"info":{"description":"Detections by Boxport"},"licenses":[],"images":')
            _write_list(file, _images(parts))
            file.write(b',"annotations":')
            _write_list(file, _annotations(parts))
            file.write(b',"categories":')
            _write_list(file, _categories(manifest))
            file.write(b"}\n")
    except OSError as error:
        raise BulkError(f"{folder.uri}/{name}: {one_line(error)}") from error


def _write_list(file: IO[bytes], items: Iterator[dict[str, Any]]) -> None:
    file.write(b"[")
    for place, item in enumerate(items):
        file.write((b",\n" if place else b"") + orjson.dumps(item))
    file.write(b"]")


def _images(parts: Parts) -> Iterator[dict[str, Any]]:
    for row in parts.rows(["number", "photo", "width", "height"]):
        if row["width"] is not None:
            size = {"width": row["width"], "height": row["height"]}
            yield {"id": row["number"] + 1, "file_name": row["photo"], **size}


def _annotations(parts: Parts) -> Iterator[dict[str, Any]]:
    number = 0
    for row in parts.rows(["number", "detections"]):
        for detection in row["detections"] or ():
            number += 1
            left, top, right, bottom = detection["box"]
            width, height = round(right - left, DECIMALS), round(bottom - top, DECIMALS)
            yield {
                "id": number,
                "image_id": row["number"] + 1,
                "category_id": detection["label_id"],
                "bbox": [left, top, width, height],
                "area": round(width * height, DECIMALS),
                "iscrowd": 0,
                "score": detection["score"],
                **_outline(detection.get("contour")),
            }


def _outline(contour: list[list[float]] | None) -> dict[str, Any]:
    """The polygon and its area, in place of the box's, as COCO has them."""
    if contour is None:
        return {}
    around = zip(contour, (*contour[1:], contour[0]), strict=True)
    area = abs(sum(x * next_y - y * next_x for (x, y), (next_x, next_y) in around)) / 2
    polygon = [number for vertex in contour for number in vertex]
    return {"segmentation": [polygon], "area": round(area, DECIMALS)}


def _categories(manifest: ModelManifest) -> Iterator[dict[str, Any]]:
    for label in sorted(manifest.labels, key=lambda label: label.id):
        yield {"id": label.id, "name": label.name, "supercategory": ""}
