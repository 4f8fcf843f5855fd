"""Batch norms as part of the convolutions before them: at inference both are linear."""

from onnxscript import ir, rewriter
from onnxscript.rewriter.rules.common import fuse_batchnorm_into_conv_rule

WEIGHT, BIAS = 1, 2  # a Conv's inputs


def fold_batch_norms(model: ir.Model) -> None:
    """Fold every batch norm of ``model`` that follows a convolution, in place.

    EfficientDet's heads share their convolutions among the levels, and norm each level on its own
    (arXiv 1911.09070; google/automl): there each level gets a convolution of its own.
    """
    for node in model.graph:
        if node.op_type != "BatchNormalization":
            continue
        normed = node.inputs[0]
        before = None if normed is None else normed.producer()
        if before is not None and before.op_type == "Conv":
            _unshare(model.graph, before)
    rewriter.rewrite(model, [fuse_batchnorm_into_conv_rule])


def _unshare(graph: ir.Graph, conv: ir.Node) -> None:
    """Give ``conv`` weights that no other node reads."""
    for index in (WEIGHT, BIAS):
        shared = conv.inputs[index] if index < len(conv.inputs) else None
        if shared is None or len(shared.uses()) == 1:
            continue
        own = ir.Value(
            name=f"{shared.name}.{len(shared.uses())}",
            shape=shared.shape,
            type=shared.type,
            const_value=shared.const_value,
        )
        graph.register_initializer(own)
        conv.replace_input_with(index, own)
