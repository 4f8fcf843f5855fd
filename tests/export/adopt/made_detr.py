"""Made files of DETR and its kin: queries at the places of a pyramid."""

from collections.abc import Callable

from onnxscript import ir

from tests.export.adopt.maker import (
    CLASSES,
    NAMES,
    SIDE,
    ULTRALYTICS,
    Made,
    Maker,
    Value,
)


def queries(maker: Maker, images: Value, channels: int) -> tuple[Value, Value]:
    """Relative cxcywh [N, Q, 4], and logits [N, Q, channels]."""
    op = maker.op
    rows = op.Transpose(maker.places(images, 4 + channels, (8,), batch=0), perm=[0, 2, 1])
    raw, logits = maker.split(rows, [4, channels], 2)
    return op.Sigmoid(raw), logits


def detr(logits: str, boxes: str, channels: int) -> Callable[[Maker, Value], dict[str, Value]]:
    def make(maker: Maker, images: Value) -> dict[str, Value]:
        found, values = queries(maker, images, channels)
        return {logits: values, boxes: found}

    return make


def masked(maker: Maker, images: Value) -> dict[str, Value]:
    """As transformers exports it, with a mask of ones at half the size."""
    mask = maker.input("pixel_mask", ir.DataType.INT64, ["N", SIDE // 2, SIDE // 2])
    op = maker.op
    visible = op.ReduceMean(op.Cast(mask, to=1), axes=[1, 2], keepdims=1)
    boxes, logits = queries(maker, images, len(CLASSES) + 1)
    return {"logits": op.Mul(logits, visible), "pred_boxes": boxes}


def rf_detr(maker: Maker, images: Value) -> dict[str, Value]:
    boxes, logits = queries(maker, images, len(CLASSES) + 1)
    return {"dets": boxes, "labels": logits}


def ultralytics(maker: Maker, images: Value) -> dict[str, Value]:
    boxes, logits = queries(maker, images, len(CLASSES))
    return {"output0": maker.op.Concat(boxes, maker.op.Sigmoid(logits), axis=2)}


def rt_detr(maker: Maker, images: Value) -> dict[str, Value]:
    """The best 15 pairs of query and class, and boxes in pixels of ``orig_target_sizes``."""
    op, classes = maker.op, len(CLASSES)
    sizes = maker.input("orig_target_sizes", ir.DataType.INT64, ["N", 2])
    boxes, logits = queries(maker, images, classes)
    centre, size = maker.split(boxes, [2, 2], 2)
    half = op.Mul(size, 0.5)
    corners = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=2)
    scale = op.Unsqueeze(op.Tile(op.Cast(sizes, to=1), [1, 2]), [1])
    flat = op.Reshape(op.Sigmoid(logits), [0, -1])
    scores, index = op.TopK(flat, [15], _outputs=2)
    query = op.Unsqueeze(op.Div(index, classes), [2])
    chosen = op.GatherND(op.Mul(corners, scale), query, batch_dims=1)
    return {"labels": op.Mod(index, classes), "boxes": chosen, "scores": scores}


BATCH = ("N", 3, SIDE, SIDE)
WIDE = (SIDE, SIDE * 3 // 2)  # height and width, which relative boxes must not confuse
MADE = (
    Made("detr", "detr", detr("pred_logits", "pred_boxes", 4), {"names": NAMES}),
    Made(
        "transformers_detr",
        "detr",
        masked,
        {"names": NAMES},
        BATCH,
        batching="dynamic",
    ),
    Made(
        "transformers_rt_detr",
        "detr_sigmoid",
        detr("logits", "pred_boxes", 3),
        {"names": NAMES},
        BATCH,
        batching="dynamic",
    ),
    Made("rf_detr", "rf_detr", rf_detr, {"names": NAMES}, (1, 3, *WIDE)),
    Made("rt_detr_ultralytics", "ultralytics_rt_detr", ultralytics, ULTRALYTICS, (1, 3, *WIDE)),
    Made("rt_detr", "rt_detr", rt_detr, {"names": NAMES}, ("N", 3, *WIDE), batching="dynamic"),
)
