"""Checks of an ONNX graph: whether any runtime can run it, now and later, at full speed."""

from collections import Counter
from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from export.errors import ExportError
from service.runtime.onnx_model import ExternalDataError, check_self_contained

STANDARD_DOMAINS = ("", "ai.onnx")
TRAINING_OPERATORS = frozenset({"BatchNormalization", "Dropout"})
RANDOM_OPERATORS = ("Bernoulli", "Multinomial", "Random")  # what their names begin with
MAX_BYTES = 2**31 - 1  # of one protobuf message


class GraphError(ExportError):
    """A graph that must not become a package; the message says what is wrong with it."""


def check_size(size: int, most: int = MAX_BYTES) -> None:
    """Raise GraphError if one file cannot hold weights of ``size`` bytes.

    ONNX could keep them in a second file, but the manifest's sha256 would not cover it, and no
    architecture of `models.variants` comes near the limit.
    """
    if size >= most:
        raise GraphError(
            f"the weights are {size:,} bytes; an ONNX file holds less than {most:,}:"
            " export a smaller architecture"
        )


def check_graph(model: ModelProto, opset: int) -> None:
    """Raise GraphError, one line that names the first fault, for what ONNX's own checker accepts:
    training and random operators, other domains than ONNX's, another opset than ``opset``, float64,
    weights that nothing reads or that are in another file."""
    _check_opsets(model, opset)
    graphs = list(graphs_of(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    _check_operators(model, nodes)
    _check_types(graphs, nodes)
    _check_initializers(model, graphs, nodes)


def _check_opsets(model: ModelProto, opset: int) -> None:
    stated = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    if stated != {"ai.onnx": opset}:
        raise GraphError(f"the graph imports the opsets {stated}, not ai.onnx {opset} alone")


def _check_operators(model: ModelProto, nodes: list[NodeProto]) -> None:
    foreign = {f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in STANDARD_DOMAINS}
    foreign |= {f"{f.domain}.{f.name}" for f in model.functions}
    if foreign:
        raise GraphError(f"the graph has operators that are not ONNX's own: {_some(foreign)}")
    training = Counter(n.op_type for n in nodes if n.op_type in TRAINING_OPERATORS)
    if training:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(training.items()))
        raise GraphError(f"the graph still has training operators: {counts}")
    random = {n.op_type for n in nodes if n.op_type.startswith(RANDOM_OPERATORS)}
    if random:
        raise GraphError(f"the graph answers by chance: {_some(random)}")


def _check_types(graphs: list[GraphProto], nodes: list[NodeProto]) -> None:
    wide = set[str]()
    for graph in graphs:
        values = (*graph.input, *graph.output, *graph.value_info)
        wide |= {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.DOUBLE}
        wide |= {t.name for t in graph.initializer if t.data_type == TensorProto.DOUBLE}
    for node in nodes:
        for attribute in node.attribute:
            is_cast = attribute.name in ("to", "dtype") and attribute.i == TensorProto.DOUBLE
            if is_cast or attribute.t.data_type == TensorProto.DOUBLE:
                wide.update(node.output)
    if wide:
        raise GraphError(f"the graph computes in float64: {_some(wide)}")


def _check_initializers(
    model: ModelProto, graphs: list[GraphProto], nodes: list[NodeProto]
) -> None:
    read = {name for node in nodes for name in node.input}
    read |= {output.name for graph in graphs for output in graph.output}
    sparse = (t.values.name for graph in graphs for t in graph.sparse_initializer)
    unread = {t.name for graph in graphs for t in graph.initializer}.union(sparse) - read
    if unread:
        raise GraphError(f"nothing reads the initializers {_some(unread)}")
    try:
        check_self_contained(model)
    except ExternalDataError as error:
        raise GraphError(str(error)) from error


def graphs_of(graph: GraphProto) -> Iterator[GraphProto]:
    """``graph``, and the graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = (attribute.g,) if attribute.type == AttributeProto.GRAPH else attribute.graphs
            for one in inner:
                yield from graphs_of(one)


def _some(names: set[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
