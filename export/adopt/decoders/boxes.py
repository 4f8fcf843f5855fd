"""Nodes that several decoders share."""

from export.adopt.decoders.row import Op, Value


def cxcywh_to_xyxy(op: Op, rows: Value, anchors: Value | None = None) -> Value:
    """Centre and size [N, k, 4] -> corners."""
    centre, size = op.Split(rows, [2, 2], axis=-1, _outputs=2)
    half = op.Mul(size, 0.5)
    return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=-1)


def columns(op: Op, values: Value, start: int, end: int) -> Value:
    """The last axis from ``start`` up to ``end``."""
    return op.Slice(values, [start], [end], [-1])
