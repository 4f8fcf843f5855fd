"""Edits of a detector's graph: each makes it another model, as a fault of an exporter, a pass or a
hand would.

Nodes are found by what they do: by their operator and the outputs that they lead to.
"""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx.nodes import add_constant, attributes, insert_before, makers, readers

Edit = Callable[[onnx.ModelProto], None]


def the(model: onnx.ModelProto, op_type: str, place: int = 0) -> onnx.NodeProto:
    """The node of a type, counted from the first or, with a negative place, from the last."""
    return [node for node in model.graph.node if node.op_type == op_type][place]


def before(place: int, *steps: tuple[str, float], dtype: type = np.float32) -> Edit:
    """NMS reads its input ``place`` through ``steps``: an operator, with a constant, each."""

    def edit(model: onnx.ModelProto) -> None:
        nms = the(model, "NonMaxSuppression")
        for number, (op_type, value) in enumerate(steps):
            constant = add_constant(model, f"mutant.{number}", dtype(value))
            own = f"own.{number}"
            insert_before(
                model, nms, helper.make_node(op_type, [nms.input[place], constant], [own])
            )
            nms.input[place] = own

    return edit


def fixed(place: int, value: float, dtype: type) -> Edit:
    """NMS reads a constant in place of its input."""

    def edit(model: onnx.ModelProto) -> None:
        the(model, "NonMaxSuppression").input[place] = add_constant(model, "mutant", dtype(value))

    return edit


def everywhere(name: str, op_type: str, value: object) -> Edit:
    """A run-time input is changed before anything reads it."""

    def edit(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = ["own" if other == name else other for other in node.input]
        constant = add_constant(model, "mutant", value)
        model.graph.node.insert(0, helper.make_node(op_type, [name, constant], ["own"]))

    return edit


def after(output: str, op_type: str, value: object) -> Edit:
    """What the graph gives as ``output`` goes through ``op_type`` with a constant."""

    def edit(model: onnx.ModelProto) -> None:
        node = makers(model)[output]
        place = list(node.output).index(output)
        node.output[place] = "raw"
        for reader in readers(model)[output]:
            reader.input[:] = ["raw" if name == output else name for name in reader.input]
        constant = add_constant(model, "mutant", value)
        model.graph.node.append(helper.make_node(op_type, ["raw", constant], [output]))

    return edit


def scores_changed(op_type: str, value: object) -> Edit:
    """Every class score goes through ``op_type`` with a constant, before it is chosen."""

    def edit(model: onnx.ModelProto) -> None:
        sigmoid = the(model, "Sigmoid", -1)
        found = sigmoid.output[0]
        sigmoid.output[0] = "raw"
        constant = add_constant(model, "mutant", value)
        node = helper.make_node(op_type, ["raw", constant], [found])
        model.graph.node.insert(list(model.graph.node).index(sigmoid) + 1, node)

    return edit


def boxes_changed(op_type: str, value: object) -> Edit:
    """Every decoded box goes through ``op_type`` with a constant, before NMS."""

    def edit(model: onnx.ModelProto) -> None:
        gather = makers(model)[the(model, "NonMaxSuppression").input[0]]
        constant = add_constant(model, "mutant", value)
        insert_before(
            model, gather, helper.make_node(op_type, [gather.input[0], constant], ["own"])
        )
        gather.input[0] = "own"

    return edit


def batch_repeats(size: int) -> Edit:
    """Of a batch larger than ``size`` the images after it are read as the first ones."""

    def edit(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.op_type != "Shape":
                node.input[:] = ["own" if name == "images" else name for name in node.input]
        zero, one, most = (add_constant(model, f"mutant.{i}", i) for i in (0, 1, size))
        nodes = [
            helper.make_node("Shape", ["images"], ["mutant.shape"], start=0, end=1),
            helper.make_node("Squeeze", ["mutant.shape"], ["mutant.batch"]),
            helper.make_node("Range", [zero, "mutant.batch", one], ["mutant.range"]),
            helper.make_node("Mod", ["mutant.range", most], ["mutant.rows"]),
            helper.make_node("Gather", ["images", "mutant.rows"], ["own"], axis=0),
        ]
        insert_before(model, model.graph.node[0], *nodes)

    return edit


def weights(suffix: str, change: Callable[[np.ndarray], object]) -> Edit:
    """``change`` edits, or gives, the values of the constant whose name ends with ``suffix``."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith(suffix))
        values = numpy_helper.to_array(tensor).copy()
        changed = change(values)
        values = values if changed is None else np.asarray(changed, values.dtype)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return edit


def add_at(where: object, amount: float) -> Callable[[np.ndarray], None]:
    def change(values: np.ndarray) -> None:
        values[where] += np.float32(amount)

    return change


def narrowed(weight: str, dtype: int) -> Edit:
    """What the first layer with the weights ``weight`` computes is rounded to ``dtype`` and back:
    of a head's layer that of the finest level."""

    def edit(model: onnx.ModelProto) -> None:
        node = next(n for n in model.graph.node if any(i.endswith(weight) for i in n.input))
        output = node.output[0]
        node.output[0] = "wide"
        at = list(model.graph.node).index(node) + 1
        model.graph.node.insert(at, helper.make_node("Cast", ["wide"], ["narrow"], to=dtype))
        back = helper.make_node("Cast", ["narrow"], [output], to=TensorProto.FLOAT)
        model.graph.node.insert(at + 1, back)

    return edit


def attribute(op_type: str, place: int, **values: object) -> Edit:
    """A node states other attributes."""

    def edit(model: onnx.ModelProto) -> None:
        node = the(model, op_type, place)
        stated = {**attributes(node), **values}
        del node.attribute[:]
        node.attribute.extend(
            helper.make_attribute(name, value)
            for name, value in stated.items()
            if value is not None
        )

    return edit


def replaced(op_type: str, place: int, other: str) -> Edit:
    """A node computes something else with the same inputs."""

    def edit(model: onnx.ModelProto) -> None:
        the(model, op_type, place).op_type = other

    return edit


def skipped(op_type: str, place: int, keep: int = 0) -> Edit:
    """A node only hands on its input ``keep``."""

    def edit(model: onnx.ModelProto) -> None:
        node = the(model, op_type, place)
        name = node.input[keep]
        node.op_type = "Identity"
        del node.attribute[:]
        node.input[:] = [name]

    return edit


def inputs_swapped(op_type: str, place: int, first: int, second: int) -> Edit:
    """Two inputs of a node change places."""

    def edit(model: onnx.ModelProto) -> None:
        names = the(model, op_type, place).input
        names[first], names[second] = names[second], names[first]

    return edit


def candidates(number: int) -> Edit:
    """NMS sees fewer anchors, of all levels together."""
    return weights_where(lambda values: values.shape == (1,) and values[0] == 1000, number)


def weights_where(is_it: Callable[[np.ndarray], bool], value: object) -> Edit:
    """The constant that ``is_it`` becomes ``value``."""

    def edit(model: onnx.ModelProto) -> None:
        (tensor,) = (t for t in model.graph.initializer if is_it(numpy_helper.to_array(t)))
        values = np.full_like(numpy_helper.to_array(tensor), value)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return edit


def one_level_cut(level: int, number: int) -> Edit:
    """Of one pyramid level only the ``number`` anchors whose best class is best have a score."""

    def edit(model: onnx.ModelProto) -> None:
        join = [n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 5][1]
        axis, first = (add_constant(model, f"mutant.{i}", np.array([i])) for i in (2, 1))
        kept = add_constant(model, "mutant.kept", np.array([number]))
        least = add_constant(model, "mutant.least", np.float32(-30))
        logits = join.input[level]  # [N, A, C]
        nodes = [
            helper.make_node("ReduceMax", [logits, axis], ["mutant.best"]),  # [N, A, 1]
            helper.make_node("TopK", ["mutant.best", kept], ["mutant.top", "mutant.rows"], axis=1),
            helper.make_node("ReduceMin", ["mutant.top", first], ["mutant.last"]),  # [N, 1, 1]
            helper.make_node("GreaterOrEqual", ["mutant.best", "mutant.last"], ["mutant.kept.are"]),
            helper.make_node("Where", ["mutant.kept.are", logits, least], ["own"]),
        ]
        insert_before(model, join, *nodes)
        join.input[level] = "own"

    return edit


def one_level(concat: int, level: int, op_type: str, value: float) -> Edit:
    """One of the five pyramid levels is changed where a Concat joins them: 0 the anchors, 1 the
    class logits, 2 the deltas."""

    def edit(model: onnx.ModelProto) -> None:
        joins = [n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 5]
        join = joins[concat]
        constant = add_constant(model, "mutant", np.float32(value))
        insert_before(
            model, join, helper.make_node(op_type, [join.input[level], constant], ["own"])
        )
        join.input[level] = "own"

    return edit


def anchor_axes_swapped(model: onnx.ModelProto) -> None:
    """The centres of the finest level's anchors are (y, x, y, x): what is stacked of two grids."""
    stacks = (n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 4)
    node = next(n for n in stacks if n.input[:2] == n.input[2:])
    x, y = node.input[:2]
    node.input[:] = [y, x, y, x]


def levels_swapped(concat: int) -> Edit:
    """The logits, or deltas, of the two finest levels are joined in the wrong order."""

    def edit(model: onnx.ModelProto) -> None:
        join = [n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 5][concat]
        join.input[0], join.input[1] = join.input[1], join.input[0]

    return edit


def labels_through(table: np.ndarray) -> Edit:
    """Labels are places in ``table``, whose last is what padding reads."""

    def edit(model: onnx.ModelProto) -> None:
        node = makers(model)["labels"]
        node.output[0] = "raw"
        constant = add_constant(model, "mutant", table)
        model.graph.node.append(helper.make_node("Gather", [constant, "raw"], ["labels"]))

    return edit


def labels_by_class(model: onnx.ModelProto) -> None:
    """With class_agnostic too labels are read as where each class has scores of its own."""
    choices = [n for n in model.graph.node if n.op_type == "Where"]
    node = [n for n in choices if n.input[0] == "class_agnostic"][-1]
    node.input[1] = node.input[2]


def suppression_across_images(model: onnx.ModelProto) -> None:
    """NMS puts all images' boxes where those of the first are: each batch is one image to it."""
    nms = the(model, "NonMaxSuppression")
    first = add_constant(model, "mutant", np.array([0]))
    shape = helper.make_node("Shape", [nms.input[0]], ["mutant.shape"])
    gather = helper.make_node("Gather", [nms.input[0], first], ["mutant.first"], axis=0)
    expand = helper.make_node("Expand", ["mutant.first", "mutant.shape"], ["own"])
    insert_before(model, nms, shape, gather, expand)
    nms.input[0] = "own"
