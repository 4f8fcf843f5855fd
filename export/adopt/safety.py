"""What of an ONNX file that anybody may have made is refused before anything of it runs."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
    shape_inference,
)
from onnx.external_data_helper import uses_external_data

from export.errors import ExportError
from export.onnx.checks import STANDARD_DOMAINS

MAX_NODES = 100_000  # functions expanded; the largest detectors have some thousands
MAX_DEPTH = 8  # of graphs in graphs
MAX_TRIPS = 10_000  # of a loop
MAX_BYTES = 2**31 - 1  # of one file, and of one value
READS_FILES = "EPContext"  # a provider's compiled graph, which lies in a file of its own


class ForeignError(ExportError):
    """An ONNX file that cannot be adopted; the message says what is wrong with it, and what to
    do."""


def check_safe(model: ModelProto, folder: Path, cut: Iterable[str] = ()) -> None:
    """Raise ForeignError, one line, for the first thing in ``model`` that no file may hold.

    folder: where its external data must lie. cut: operators of other domains that are allowed, as
    they will be cut off.
    """
    if not model.graph.node:
        raise ForeignError("the file has no nodes")
    _check_depth(model)
    _check_count(model)
    nodes = list(all_nodes(model))
    _check_operators(model, nodes, frozenset(cut))
    for node in nodes:
        if node.op_type == "Loop":
            _check_loop(model, node)
        if node.op_type == "Constant" and len(node.attribute) != 1:
            raise ForeignError(f"its constant {(*node.output, node.name)[0]!r} states no one value")
    if any(True for graph in all_graphs(model) if graph.sparse_initializer):
        raise ForeignError("the file has sparse weights; save them dense")
    for tensor in all_tensors(model):
        _check_tensor(tensor, folder)


def all_graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The graph, and those in it, and in the file's functions."""
    nodes = [node for function in model.functions for node in function.node]
    pending = [model.graph, *_subgraphs(nodes)]
    while pending:
        graph = pending.pop()
        yield graph
        pending += _subgraphs(graph.node)


def all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    for function in model.functions:
        yield from function.node
    for graph in all_graphs(model):
        yield from graph.node


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Initializers and constants."""
    for graph in all_graphs(model):
        yield from graph.initializer
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors


def _subgraphs(nodes: Iterable[NodeProto]) -> list[GraphProto]:
    found = []
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                found.append(attribute.g)
            found += attribute.graphs
    return found


def _check_depth(model: ModelProto) -> None:
    level = [model.graph, *_subgraphs(n for f in model.functions for n in f.node)]
    for _ in range(MAX_DEPTH):
        level = [inner for graph in level for inner in _subgraphs(graph.node)]
        if not level:
            return
    raise ForeignError(f"the file has graphs in graphs, more than {MAX_DEPTH} deep")


def _check_count(model: ModelProto) -> None:
    """Count the nodes as if functions were expanded: a few that call each other can be billions."""
    functions = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size_of(key: tuple[str, str], callers: tuple[tuple[str, str], ...]) -> int:
        if key in callers or len(callers) > MAX_DEPTH * 8:
            raise ForeignError(f"its function {key[1]!r} calls itself")
        if key not in sizes:
            sizes[key] = expanded(functions[key].node, (*callers, key))
        return sizes[key]

    def expanded(nodes: Iterable[NodeProto], callers: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            total += size_of(key, callers) if key in functions else 1
            total += sum(expanded(graph.node, callers) for graph in _subgraphs([node]))
        return total

    count = expanded(model.graph.node, ())
    if count > MAX_NODES:
        raise ForeignError(f"the file has {count:,} nodes; {MAX_NODES:,} are the most")


def _check_operators(model: ModelProto, nodes: list[NodeProto], cut: frozenset[str]) -> None:
    own = {(f.domain, f.name) for f in model.functions}
    for node in nodes:
        custom = node.domain not in STANDARD_DOMAINS and (node.domain, node.op_type) not in own
        if node.op_type == READS_FILES or (custom and node.op_type not in cut):
            raise ForeignError(
                f"its node {node.name or node.output[0]!r} is the operator"
                f" {node.domain or 'ai.onnx'}.{node.op_type}, which is not ONNX's own: export the"
                " model again for plain ONNX, without an optimiser's or a vendor's operators"
            )


def _check_loop(model: ModelProto, node: NodeProto) -> None:
    """A loop must say how often it runs at most."""
    name = node.name or (node.output[0] if node.output else "Loop")
    count = node.input[0] if node.input else ""
    if not count:
        raise ForeignError(f"its loop {name!r} has no bound; loops must state their trip count")
    if count in {value.name for value in model.graph.input}:
        raise ForeignError(f"its loop {name!r} runs as often as an input says")
    stated = _constant(model, count)
    if stated is not None and stated > MAX_TRIPS:
        raise ForeignError(f"its loop {name!r} runs {stated:,} times; {MAX_TRIPS:,} are the most")


def _constant(model: ModelProto, name: str) -> int | None:
    """The whole number that is called ``name``, if it is a constant."""
    for graph in all_graphs(model):
        for tensor in graph.initializer:
            if tensor.name == name:
                return int(numpy_helper.to_array(tensor).reshape(-1)[0])
    for node in all_nodes(model):
        if node.op_type == "Constant" and name in node.output:
            value = helper.get_attribute_value(node.attribute[0])
            array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
            return int(np.asarray(array).reshape(-1)[0])
    return None


def _check_tensor(tensor: TensorProto, folder: Path) -> None:
    """A tensor must hold as much as its dimensions say."""
    name = tensor.name or "a constant"
    if any(size < 0 for size in tensor.dims):
        raise ForeignError(f"its tensor {name!r} has the shape {list(tensor.dims)}")
    count = math.prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        raise ForeignError(f"its tensor {name!r} holds text, which no network reads")
    try:
        bits = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize * 8
    except (KeyError, TypeError, ValueError):
        raise ForeignError(f"its tensor {name!r} is of no type that is known") from None
    size = count * bits // 8
    if size > MAX_BYTES:
        raise ForeignError(f"its tensor {name!r} says that it has {size:,} bytes")
    if uses_external_data(tensor):
        _check_external(tensor, folder, size)
    elif tensor.HasField("raw_data"):
        if len(tensor.raw_data) != size and bits >= 8 and tensor.data_type < TensorProto.UINT4:
            raise ForeignError(
                f"its tensor {name!r} has {len(tensor.raw_data):,} bytes, and its shape"
                f" {list(tensor.dims)} says {size:,}"
            )
    else:
        field = helper.tensor_dtype_to_field(tensor.data_type)
        held = len(getattr(tensor, field))
        if held != count and tensor.data_type < TensorProto.COMPLEX64:
            raise ForeignError(
                f"its tensor {name!r} has {held:,} values, and its shape {list(tensor.dims)}"
                f" says {count:,}"
            )


def _check_external(tensor: TensorProto, folder: Path, size: int) -> None:
    """External data must lie in a plain file beside the graph, and be long enough."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = entries.get("location", "")
    if not place or PurePosixPath(place).is_absolute() or PureWindowsPath(place).anchor:
        raise ForeignError(f"its weights are in {place!r}, which is no path beside the file")
    if ".." in PurePosixPath(place).parts or "\\" in place or "\0" in place:
        raise ForeignError(f"its weights are in {place!r}, which leads out of the file's folder")
    path = folder / place
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise ForeignError(f"its weights are in {place!r}, and there is no such file beside it")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        offset = length = -1
    if length != size or offset < 0 or offset + length > path.stat().st_size:
        raise ForeignError(f"its tensor {tensor.name!r} is not whole in {place!r}")


def check_values(model: ModelProto) -> None:
    """Raise ForeignError if a value that the graph computes would be larger than any that a network
    has, as far as shapes can be inferred."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        count = math.prod(max(1, dimension.dim_value) for dimension in tensor.shape.dim)
        if (size := 4 * count) > MAX_BYTES:
            raise ForeignError(f"its value {value.name!r} would have {size:,} bytes")
