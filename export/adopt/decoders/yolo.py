"""YOLO's dense outputs: a row for each place of a grid, or for each of its three anchors."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from export.adopt.decoders.boxes import columns, cxcywh_to_xyxy
from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Value,
    grid_sizes,
    in_0_to_1,
    only_output,
)
from export.adopt.foreign import Foreign
from export.onnx.nodes import Array

# usual; of P6 variants; of tiny ones; of P2 variants
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32))
ANCHORS = 3  # at each place, of YOLOv5 and YOLOv7
MAP_RANK = 5  # of the maps of one level, which older YOLOv5 give as well
IN_STEP = 0.9  # correlation of decoded centres with their grid; raw ones are offsets to it


def recognise_yolov8(file: Foreign, given: Given) -> Match | None:
    found = only_output(file, 3)
    if found is None:
        return None
    name, values = found
    _, channels, places = values.shape
    strides = _strides(file, places)
    if strides is None or channels < 5 or not in_0_to_1(values[:, 4:]):
        return None
    return Match(
        (name,),
        channels - 4,
        f"{name} is [1, 4 + {channels - 4}, {places}], the places of strides {_listed(strides)}",
    )


def recognise_yolov5(file: Foreign, given: Given) -> Match | None:
    """YOLOv5, and YOLOv7 of more classes than one, whose outputs are the same."""
    return _anchored(file)


def recognise_yolov7(file: Foreign, given: Given) -> Match | None:
    """YOLOv7 of one class, whose score it takes no notice of. YOLOv5 writes its names into the
    metadata, which tells the two apart."""
    match = _anchored(file)
    if match is None or given.decoder == "yolov7":
        return match
    return match if match.classes == 1 and file.fact("names") is None else None


def _anchored(file: Foreign) -> Match | None:
    """[1, rows, 5 + C]; beside it there may be the maps [1, 3, h, w, 5 + C] that it was made of."""
    found = only_output(file, 3, MAP_RANK)
    if found is None:
        return None
    name, values = found
    _, rows, channels = values.shape
    strides = _strides(file, rows // ANCHORS) if rows % ANCHORS == 0 else None
    if strides is None or channels < 6 or not in_0_to_1(values[..., 4:]):
        return None
    return Match(
        (name,),
        channels - 5,
        f"{name} is [1, {rows}, 5 + {channels - 5}], three anchors at each place of strides"
        f" {_listed(strides)}",
    )


def recognise_yolov6(file: Foreign, given: Given) -> Match | None:
    match = _one_a_place(file)
    if match is None:
        return None
    values = file.answers[match.outputs[0]]
    if not (values[..., 4] == 1).all() or not _is_decoded(values, match, file):
        return None
    return replace(match, why=f"{match.why}, decoded, and its objectness is 1 throughout")


def recognise_yolox(file: Foreign, given: Given) -> Match | None:
    match = _one_a_place(file)
    if match is None or _is_decoded(file.answers[match.outputs[0]], match, file):
        return None
    return replace(match, why=f"{match.why}, and its first column does not follow them: it is raw")


def recognise_yolox_decoded(file: Foreign, given: Given) -> Match | None:
    match = _one_a_place(file)
    if match is None:
        return None
    values = file.answers[match.outputs[0]]
    if (values[..., 4] == 1).all() or not _is_decoded(values, match, file):
        return None
    return replace(match, why=f"{match.why}, and its first column follows them: it is decoded")


def _one_a_place(file: Foreign) -> Match | None:
    """[1, places, 5 + C]."""
    found = only_output(file, 3)
    if found is None:
        return None
    name, values = found
    _, places, channels = values.shape
    strides = _strides(file, places)
    if strides is None or channels < 6 or not in_0_to_1(values[..., 4:]):
        return None
    return Match(
        (name,),
        channels - 5,
        f"{name} is [1, {places}, 5 + {channels - 5}], the places of strides {_listed(strides)}",
        {"strides": strides},
    )


def _strides(file: Foreign, places: int) -> tuple[int, ...] | None:
    """The strides of a pyramid with so many places on the file's input."""
    for strides in STRIDES:
        grids = grid_sizes(file.height, file.width, strides)
        if sum(rows * columns for rows, columns in grids) == places:
            return strides
    return None


def _is_decoded(values: Array, match: Match, file: Foreign) -> bool:
    """Whether the first column is the centre's x in pixels: it follows the grid."""
    grid = grid_of(file.height, file.width, match.settings["strides"])
    x = values[0, :, 0]
    if not np.isfinite(x).all() or x.std() == 0:
        return False
    return bool(np.corrcoef(x, grid[:, 0] * grid[:, 2])[0, 1] > IN_STEP)


def _listed(strides: Sequence[int]) -> str:
    return ", ".join(map(str, strides))


def grid_of(height: int, width: int, strides: Sequence[int], centre: float = 0.0) -> Array:
    """Column, row and stride of each place, float32 [A, 3], level by level and row by row;
    ``centre`` is added to columns and rows."""
    levels = []
    for (rows, cols), stride in zip(grid_sizes(height, width, strides), strides, strict=True):
        y, x = np.mgrid[:rows, :cols]
        levels.append(
            np.stack((x + centre, y + centre, np.full_like(x, stride)), -1).reshape(-1, 3)
        )
    return np.concatenate(levels).astype(np.float32)


def yolov8(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, 4 + C, A]: cxcywh, then the classes' scores."""
    rows = op.Transpose(outputs[0], perm=[0, 2, 1])
    scores = columns(op, rows, 4, 4 + layout.classes)
    return Candidates(scores, columns(op, rows, 0, 4), to_boxes=cxcywh_to_xyxy)


def objectness_by_class(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, A, 5 + C]: cxcywh, objectness, then the classes' scores given an object."""
    rows = outputs[0]
    scores = op.Mul(columns(op, rows, 5, 5 + layout.classes), columns(op, rows, 4, 5))
    return Candidates(scores, columns(op, rows, 0, 4), to_boxes=cxcywh_to_xyxy)


def objectness_alone(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, A, 6] of one class: cxcywh, objectness, and a score that was never trained."""
    rows = outputs[0]
    if layout.classes > 1:
        return objectness_by_class(op, outputs, layout)
    return Candidates(columns(op, rows, 4, 5), columns(op, rows, 0, 4), to_boxes=cxcywh_to_xyxy)


def yolox(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, A, 5 + C] as `objectness_by_class`, boxes as offsets to the grid and logarithms."""
    found = objectness_by_class(op, outputs, layout)
    grid = grid_of(layout.height, layout.width, layout.settings["strides"])
    return Candidates(found.scores, found.rows, grid, _from_grid)


def _from_grid(op: Op, rows: Value, anchors: Value | None) -> Value:
    """(xy + grid) * stride and exp(wh) * stride."""
    offset, size = op.Split(rows, [2, 2], axis=-1, _outputs=2)
    place, stride = op.Split(anchors, [2, 1], axis=-1, _outputs=2)
    centre, half = op.Mul(op.Add(offset, place), stride), op.Mul(op.Mul(op.Exp(size), stride), 0.5)
    return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=-1)
