"""Heads with a distribution for each side of a box: NanoDet and PicoDet (arXiv 2006.04388)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Value,
    constant,
    grid_sizes,
    in_0_to_1,
    only_output,
)
from export.adopt.decoders.yolo import grid_of
from export.adopt.foreign import Foreign
from export.onnx.nodes import Array

PYRAMIDS = {3: (8, 16, 32), 4: (8, 16, 32, 64)}  # strides by the number of levels
BINS = 8  # of NanoDet and PicoDet as published


def recognise_nanodet(file: Foreign, given: Given) -> Match | None:
    return _heads(file, 3)


def recognise_picodet(file: Foreign, given: Given) -> Match | None:
    return _heads(file, 4)


def recognise_nanodet_plus(file: Foreign, given: Given) -> Match | None:
    """One output, [1, A, C + 32], of strides 8 to 64."""
    found = only_output(file, 3)
    if found is None:
        return None
    name, values = found
    _, places, channels = values.shape
    strides = PYRAMIDS[4]
    grids = grid_sizes(file.height, file.width, strides)
    classes = channels - 4 * BINS
    if sum(rows * cols for rows, cols in grids) != places or classes <= 0:
        return None
    if not in_0_to_1(values[..., :classes]) or in_0_to_1(values[..., classes:]):
        return None
    return Match(
        (name,),
        classes,
        f"{name} is [1, {places}, {classes} + 4 * {BINS}], the places of strides 8, 16, 32, 64",
        {"strides": strides, "bins": BINS},
    )


def _heads(file: Foreign, levels: int) -> Match | None:
    """Two outputs for each level: scores [1, n, C] and distributions [1, n, 4 * bins]; the axis for
    the batch may be missing."""
    if len(file.answers) != 2 * levels:
        return None
    strides = PYRAMIDS[levels]
    counts = [rows * cols for rows, cols in grid_sizes(file.height, file.width, strides)]
    scores: dict[int, str] = {}
    sides: dict[int, str] = {}
    depths: set[tuple[int, int]] = set()
    batchless = set()
    for name, value in file.answers.items():
        if value.ndim not in (2, 3) or value.shape[-2] not in counts:
            return None
        level = counts.index(value.shape[-2])
        bounded = in_0_to_1(value)
        (scores if bounded else sides)[level] = name
        depths.add((int(bounded), value.shape[-1]))
        if value.ndim == 2:
            batchless.add(name)
    if len(scores) != levels or len(sides) != levels or len(depths) != 2:
        return None
    (_, channels), (_, classes) = sorted(depths)
    if channels % 4:
        return None
    return Match(
        tuple(found[level] for found in (scores, sides) for level in range(levels)),
        classes,
        f"{levels} outputs of scores and {levels} of {channels // 4} bins a side, at the places of"
        f" strides {', '.join(map(str, strides))}",
        {"strides": strides, "bins": channels // 4},
        frozenset(batchless),
    )


def heads(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """Levels of scores, then levels of distributions; centres in the middle of their places."""
    levels = len(layout.settings["strides"])
    scores = op.Concat(*outputs[:levels], axis=1)
    rows = op.Concat(*outputs[levels:], axis=1)
    return _candidates(scores, rows, layout, centre=0.5)


def joined(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, A, C + 4 * bins]; centres in the corner of their places."""
    depth = 4 * layout.settings["bins"]
    scores, rows = op.Split(outputs[0], [layout.classes, depth], axis=-1, _outputs=2)
    return _candidates(scores, rows, layout, centre=0.0)


def _candidates(scores: Value, rows: Value, layout: Layout, centre: float) -> Candidates:
    anchors = _anchors(layout, centre)
    bins = layout.settings["bins"]

    def to_boxes(op: Op, chosen: Value, places: Any) -> Value:
        """Expected distances to the sides, in strides from the centre."""
        shares = op.Softmax(op.Reshape(chosen, [0, 0, 4, bins]), axis=-1)
        weights = constant(op, np.arange(bins, dtype=np.float32)[:, None], "bins")
        distances = op.Squeeze(
            op.MatMul(shares, weights), [-1]
        )  # [N, k, 4]: left, top, right, bottom
        place, stride = op.Split(places, [2, 1], axis=-1, _outputs=2)
        before, after = op.Split(op.Mul(distances, stride), [2, 2], axis=-1, _outputs=2)
        return op.Concat(op.Sub(place, before), op.Add(place, after), axis=-1)

    return Candidates(scores, rows, anchors, to_boxes)


def _anchors(layout: Layout, centre: float) -> Array:
    """Centre in pixels and stride of each place."""
    grid = grid_of(layout.height, layout.width, layout.settings["strides"], centre)
    return np.concatenate((grid[:, :2] * grid[:, 2:], grid[:, 2:]), axis=1)
