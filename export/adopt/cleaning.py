"""A foreign graph as packages have theirs: one opset, ONNX's own operators, no training nodes, no
float64, every weight inside."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    inliner,
    numpy_helper,
)
from onnxscript import ir

from export.adopt.safety import ForeignError, all_graphs, all_nodes
from export.onnx.nodes import (
    add_constant,
    constants,
    copied,
    drop_unused_nodes,
    insert_before,
    lift_constants,
    makers,
)
from export.onnx.passes import fold_batch_norms, fold_focus, strip_metadata
from export.onnx.trace import OPSET
from service.runtime.onnx_model import opset_of

IR_VERSION = 10  # the last that knows no opset beyond ours
LEAST_OPSET = 7  # version_converter knows none before


def cleaned(model: ModelProto) -> ModelProto:
    """A copy of ``model``, whose external data is read, with functions expanded, in opset `OPSET`.

    Raises ForeignError if that cannot be done.
    """
    copy = copied(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    copy.ClearField("training_info")
    names = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in names]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    copy = _in_own_opset(copy)
    for graph in all_graphs(copy):  # shapes of the batch that the file was exported with
        del graph.value_info[:]
    lift_constants(copy)
    _to_float32(copy)
    _without_dropout(copy)
    copy = _without_batch_norms(copy)
    _join_hard_sigmoids(copy)
    fold_focus(copy)
    drop_unused_nodes(copy)
    strip_metadata(copy)
    copy.ClearField("metadata_props")
    return copy


def cut_at(model: ModelProto, op_types: Iterable[str]) -> tuple[NodeProto, ...]:
    """End ``model`` at the inputs of its nodes of ``op_types``, in place; returns those nodes."""
    kinds = set(op_types)
    ends = [node for node in model.graph.node if node.op_type in kinds]
    if not ends:
        return ()
    known = {tensor.name for tensor in model.graph.initializer}
    del model.graph.output[:]
    for node in ends:
        model.graph.node.remove(node)
    read = dict.fromkeys(name for node in ends for name in node.input if name not in known)
    model.graph.output.extend(_described(model, [name for name in read if name]))
    drop_unused_nodes(model)
    return tuple(ends)


def choose_outputs(model: ModelProto, names: Sequence[str]) -> None:
    """Leave ``model`` the outputs ``names`` alone, in that order, in place; values inside it can be
    named as well. Raises ForeignError."""
    stated = {output.name: output for output in model.graph.output}
    inside = {name for node in model.graph.node for name in node.output}
    for name in names:
        if name not in inside:
            raise ForeignError(f"has no output {name!r}; it has {', '.join(stated)}")
    described = _described(model, names)
    del model.graph.output[:]
    model.graph.output.extend(described)
    drop_unused_nodes(model)


def _described(model: ModelProto, names: Sequence[str]) -> list[ValueInfoProto]:
    """Values of the graph as outputs, in the type that is stated or inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.output, *graph.input)
    }
    return [
        helper.make_tensor_value_info(name, types.get(name) or TensorProto.FLOAT, None)
        for name in names
    ]


def check_versions(model: ModelProto) -> None:
    """Raise ForeignError for a format or an opset that cannot be read."""
    if model.ir_version > onnx.IR_VERSION:
        raise ForeignError(
            f"is of ONNX's IR version {model.ir_version}, and {onnx.IR_VERSION} is the last that is"
            f" read; export it again with an older onnx, and opset {OPSET}"
        )
    opset = opset_of(model)
    if not LEAST_OPSET <= opset <= onnx.defs.onnx_opset_version():
        raise ForeignError(f"is of opset {opset}; export it again with {LEAST_OPSET} to {OPSET}")


def give_batch_axis(model: ModelProto) -> None:
    """Let a file that reads one photo of three dimensions read a batch of one, in place."""
    known = {tensor.name for tensor in model.graph.initializer}
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in known
    }
    photos = [name for name, rank in ranks.items() if rank == 3]
    if 4 in ranks.values() or len(photos) != 1:
        return
    (image,) = (value for value in model.graph.input if value.name == photos[0])
    sides = [d.dim_param or d.dim_value or None for d in image.type.tensor_type.shape.dim]
    batch, kind = f"{image.name}.batch", image.type.tensor_type.elem_type
    first = add_constant(model, f"{batch}.first", np.int64(0))
    model.graph.node.insert(0, helper.make_node("Gather", [batch, first], [image.name], axis=0))
    image.CopyFrom(helper.make_tensor_value_info(batch, kind, [1, *sides]))


def _in_own_opset(model: ModelProto) -> ModelProto:
    opset = opset_of(model)
    if opset != OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:  # its own is a RuntimeError, of which the last line says why
            reason = str(error).strip().splitlines()[-1]
            raise ForeignError(
                f"it is of opset {opset}, and cannot be converted to {OPSET} ({reason}); export it"
                f" again with opset {OPSET}"
            ) from error
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model


def _to_float32(model: ModelProto) -> None:
    """Compute in float32 what the file computes in float64, such as sizes of a Resize."""
    for graph in all_graphs(model):
        for tensor in graph.initializer:
            _narrow(tensor)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
            if attribute.type == AttributeProto.TENSOR:
                _narrow(attribute.t)


def _narrow(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.DOUBLE:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _without_dropout(model: ModelProto) -> None:
    """Dropout passes its input on, outside training."""
    for graph in all_graphs(model):
        for node in graph.node:
            if node.op_type == "Dropout":
                node.op_type = "Identity"
                del node.input[1:], node.output[1:], node.attribute[:]


def _without_batch_norms(model: ModelProto) -> ModelProto:
    """Fold batch norms into the convolutions before them; the others become a product and a sum."""
    if not any(node.op_type == "BatchNormalization" for node in model.graph.node):
        return model
    folded = ir.from_proto(model)
    fold_batch_norms(folded)
    model = ir.to_proto(folded)
    values = constants(model)
    for node in [n for n in model.graph.node if n.op_type == "BatchNormalization"]:
        if any(name not in values for name in node.input[1:5]):
            raise ForeignError(f"its batch norm {node.name!r} computes its own parameters")
        gamma, beta, mean, variance = (values[name] for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        # [C] along the second axis: of maps [N, C, H, W], or of rows [N, C]
        shape = (-1, 1, 1) if _is_map(model, node.input[0]) else (-1,)
        product = f"{node.output[0]}.product"
        factor = add_constant(model, f"{product}.factor", scale.reshape(shape).astype(gamma.dtype))
        shift = (beta - mean * scale).reshape(shape).astype(gamma.dtype)
        term = add_constant(model, f"{product}.term", shift)
        insert_before(
            model,
            node,
            helper.make_node("Mul", [node.input[0], factor], [product], product),
            helper.make_node("Add", [product, term], [node.output[0]], f"{product}.sum"),
        )
        model.graph.node.remove(node)
    return model


def _join_hard_sigmoids(model: ModelProto) -> None:
    """x * clip(x + 3, 0, 6) / 6, as older opsets have to write it, becomes x * HardSigmoid(x), in
    place: two operators in place of four, of which none is clipped where 8 bits would round it."""
    making, numbers = makers(model), _scalars(model)
    for divide in [node for node in model.graph.node if node.op_type == "Div"]:
        product = making.get(divide.input[0])
        if numbers.get(divide.input[1]) != 6 or product is None or product.op_type != "Mul":
            continue
        for source, gate in (product.input, reversed(product.input)):
            clip = making.get(gate)
            if clip is None or clip.op_type != "Clip" or len(clip.input) < 3:
                continue
            add = making.get(clip.input[0])
            bounds = [numbers.get(name) for name in clip.input[1:]]
            if add is None or add.op_type != "Add" or bounds != [0, 6]:
                continue
            terms = [numbers.get(name) for name in add.input if name != source]
            if source in add.input and terms == [3]:
                name = f"{divide.output[0]}.gate"
                sigmoid = helper.make_node(
                    "HardSigmoid", [source], [name], name, alpha=1 / 6, beta=0.5
                )
                insert_before(model, divide, sigmoid)
                divide.op_type = "Mul"
                divide.input[:] = [source, name]
                break


def _scalars(model: ModelProto) -> dict[str, float]:
    """Constants of one number, by name."""
    return {
        name: float(value.reshape(()))
        for name, value in constants(model).items()
        if value.size == 1 and value.dtype.kind in "fi"
    }


def _is_map(model: ModelProto, name: str) -> bool:
    """Whether a value has four dimensions."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    for value in (*graph.value_info, *graph.input):
        if value.name == name:
            return len(value.type.tensor_type.shape.dim) == 4
    return True
