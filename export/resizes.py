"""Upsampling by a scale that is known, in place of a size that is worked out at each run.

The exporter has a feature map's size as the batch's, found at run time, and the sides. ONNX Runtime
keeps a map in blocks of channels, as its convolutions have it, only through a Resize by a constant.
"""

import numpy as np
from onnxscript import ir
from onnxscript.ir.passes.common import RemoveUnusedNodesPass

SCALES, SIZES = 2, 3  # a Resize's inputs


def resize_by_scale(model: ir.Model) -> None:
    """Give each Resize of ``model`` to a whole multiple of a known size that scale, in place."""
    for node in model.graph:
        if node.op_type != "Resize" or len(node.inputs) <= SIZES or node.inputs[SIZES] is None:
            continue
        before, after = _sides(node.inputs[0]), _sides(node.outputs[0])
        if (
            not before
            or not after
            or any(new % old for old, new in zip(before, after, strict=True))
        ):
            continue
        scales = [1, 1, *(new / old for old, new in zip(before, after, strict=True))]
        tensor = ir.tensor(np.array(scales, np.float32), name=f"{node.outputs[0].name}.scales")
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape([4]),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        model.graph.register_initializer(value)
        node.replace_input_with(SCALES, value)
        node.resize_inputs(SIZES)
    RemoveUnusedNodesPass()(model)


def _sides(feature_map: ir.Value | None) -> list[int]:
    """Height and width of one [N, C, H, W], nothing where they vary."""
    if feature_map is None or feature_map.shape is None or len(feature_map.shape) != 4:
        return []
    sides = [side for side in feature_map.shape[2:] if isinstance(side, int)]
    return sides if len(sides) == 2 else []
