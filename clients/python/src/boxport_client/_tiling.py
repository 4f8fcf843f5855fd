"""The tiles of photos far larger than a model's input, and merging what was found in them.

A model sees every photo at its own input size, so an object that is small in a large photo has few
pixels left. In a tile it keeps them (SAHI: Akyon et al. 2022, "Slicing aided hyper inference and
fine-tuning for small object detection").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from boxport_client._boxes import Box, overlapping
from boxport_client._detections import Detection

MAX_OVERLAP = 0.9  # with more, each pixel would be in a hundred tiles
BORDER_PIXELS = 2.0  # a box that ends so near its tile's border counts as cut there
CONTAINED = 0.6  # share of a cut box inside a larger one that makes it a part of it


def tiles(size: tuple[int, int], tile: int, overlap: float) -> list[Box]:
    """The views of a photo of (width, height) ``size`` that are sent; in its pixels.

    First the whole photo, for objects larger than a tile; then, row by row, square tiles that
    cover it. The last ones of a row or column end at the border and overlap more. A photo that
    fits into one tile gives one view; if one side is shorter than a tile, so are the tiles.

    tile: their side in pixels, such as the model's input size or twice that.
    overlap: 0..0.9; the least share of a tile's side that its neighbour covers as well. An object
        smaller than this is whole in some tile.

    Raises ValueError for a parameter out of its range.
    """
    if tile < 1:
        raise ValueError(f"tile is {tile}, it must be at least 1 pixel")
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap is {overlap}, it must be in 0..{MAX_OVERLAP}")
    width, height = size
    whole = Box(0, 0, width, height)
    if width <= tile and height <= tile:
        return [whole]
    step = max(1, int(tile * (1 - overlap)))
    return [
        whole,
        *(
            Box(left, top, min(left + tile, width), min(top + tile, height))
            for top in _starts(height, tile, step)
            for left in _starts(width, tile, step)
        ),
    ]


def merge(
    found: Sequence[tuple[Box, Sequence[Detection]]],
    size: tuple[int, int],
    iou_threshold: float,
    max_detections: int,
    class_agnostic: bool,
) -> tuple[Detection, ...]:
    """One list of detections, best first, of what was found in each of ``tiles``.

    found: each view with its detections, in pixels of the view.
    size: (width, height) of the photo.

    A tile's inner border cuts objects, and a part that scores well would suppress the whole object
    in NMS or be kept beside it. So boxes are removed first that end at such a border and lie, by
    CONTAINED of their area, in a larger box of the same label. Then greedy NMS over all views:
    from the best score on, a box is kept if no kept box overlaps it by more than
    ``iou_threshold``. Only boxes of one label compete, or all if ``class_agnostic``.
    """
    placed: list[tuple[Detection, bool]] = []
    for view, detections in found:
        for detection in detections:
            box = detection.box.shifted(view.left, view.top)
            contour = detection.contour and tuple(
                (x + view.left, y + view.top) for x, y in detection.contour
            )
            moved = replace(detection, box=box, contour=contour)
            placed.append((moved, _is_cut(box, view, size)))
    merged: list[Detection] = []
    for group in _groups(placed, class_agnostic):
        merged += _suppress(_without_parts(group), iou_threshold, max_detections)
    merged.sort(key=lambda detection: -detection.score)
    return tuple(merged[:max_detections])


def _starts(side: int, tile: int, step: int) -> list[int]:
    """The offsets of the tiles along a side of the photo, in pixels."""
    last = max(0, side - tile)
    return [*range(0, last, step), last]


def _is_cut(box: Box, view: Box, size: tuple[int, int]) -> bool:
    """Whether ``box`` ends at a border of ``view`` that is not one of the photo."""
    return (
        (view.left > 0 and box.left - view.left < BORDER_PIXELS)
        or (view.top > 0 and box.top - view.top < BORDER_PIXELS)
        or (view.right < size[0] and view.right - box.right < BORDER_PIXELS)
        or (view.bottom < size[1] and view.bottom - box.bottom < BORDER_PIXELS)
    )


def _groups(
    placed: Iterable[tuple[Detection, bool]], class_agnostic: bool
) -> Iterable[list[tuple[Detection, bool]]]:
    """Groups of those that compete with each other."""
    groups: dict[int, list[tuple[Detection, bool]]] = {}
    for detection, is_cut in placed:
        groups.setdefault(0 if class_agnostic else detection.label_id, []).append(
            (detection, is_cut)
        )
    return groups.values()


def _without_parts(group: Sequence[tuple[Detection, bool]]) -> list[Detection]:
    """Those that are not the cut part of a larger one."""
    kept: list[Detection] = []
    larger: list[Box] = []
    for detection, is_cut in sorted(group, key=lambda one: (-one[0].box.area, -one[0].score)):
        box = detection.box
        enough = CONTAINED * box.area
        shared = (box.intersection(other) for other in overlapping(box, larger))
        if not is_cut or all(area < enough for area in shared):
            kept.append(detection)
        larger.append(box)
    return kept


def _suppress(
    group: Iterable[Detection], iou_threshold: float, max_detections: int
) -> list[Detection]:
    kept: list[Detection] = []
    boxes: list[Box] = []
    for detection in sorted(group, key=lambda one: -one.score):
        box = detection.box
        if all(box.iou(other) <= iou_threshold for other in overlapping(box, boxes)):
            kept.append(detection)
            boxes.append(box)
            if len(kept) == max_detections:
                break
    return kept
