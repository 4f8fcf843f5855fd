"""The first node of an exported graph whose output differs from the reference's.

Each node is run on the reference's values as its inputs, not on the outputs of the nodes before it.
So a fault in one node does not show in any other, rounding does not add up, and no search is
needed: all nodes are compared in the order in which they run.

    reference ─► value ─────────────► value ─────────► value …
                   └─► node ─► compare  └─► node ─► compare

The exporter names ONNX's values after the nodes of `torch.export` that they come from. Nodes whose
value has no such name, such as those inside `export.onnx.operators`, are compared together with the
node that reads them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from export.onnx.nodes import makers, value_types
from export.parity.comparison import ParityError
from export.parity.layers import LayeredModel, Values
from export.parity.model import Array, Feeds, open_quietly
from service.manifest import Precision

# How far one node may differ, as a share of the greatest magnitude in its output. In full precision
# the architectures stay below 1e-5.
NODE_TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2, "int8": 0.2}
CHUNK = 64  # nodes compared in one run
OWN = "own:"  # prefix of a node's own output, beside the reference's value of that name
INFINITE = 1e30  # magnitudes from here on stand for infinity, as in a maximum's padding
NETWORK = "network."  # where `export.onnx.graph` keeps the network


@dataclass(frozen=True)
class Difference:
    """The greatest difference in a node's output, as a share of the greatest magnitude there;
    infinite, with the reason, where the two cannot be compared."""

    share: float
    reason: str = ""

    def __str__(self) -> str:
        return self.reason or f"{self.share:.1e} of the greatest value"


@dataclass(frozen=True)
class Layer:
    """A node: its operator, its output's name, and its module's path where that is known."""

    op_type: str
    output: str
    module: str | None
    difference: Difference


@dataclass(frozen=True)
class Bisection:
    """What a search found.

    compared: how many nodes were. differs: the first that differs from ``reference``, None if none
    does. agrees: the last one that it reads from, None if that is an input.
    """

    reference: str
    compared: int
    agrees: Layer | None
    differs: Layer | None


class LocatedParityError(ParityError):
    """A ParityError with what the search for its node found."""

    def __init__(self, error: ParityError, bisection: Bisection) -> None:
        super().__init__(str(error), error.feeds, error.image)
        self.bisection = bisection


@contextmanager
def located(
    reference: Callable[[], LayeredModel],
    model: onnx.ModelProto,
    precision: Precision,
    on_step: Callable[[str], None] = lambda step: None,
) -> Iterator[None]:
    """Turn a ParityError of ``model``, in ``precision``, into a LocatedParityError.

    ``reference`` is called only then: tracing a graph anew takes as long as exporting it.
    """
    try:
        yield
    except ParityError as error:
        if error.feeds is None:
            raise
        on_step("looking for the first node that differs")
        try:
            bisection = locate(reference(), model, error, precision)
        except Exception as fault:  # whatever it is, it must not hide what the gate found
            reason = str(fault).strip().splitlines() or [type(fault).__name__]
            raise ParityError(f"{error} (no node could be named: {reason[0]})") from error
        raise LocatedParityError(error, bisection) from error


def locate(
    reference: LayeredModel, model: onnx.ModelProto, error: ParityError, precision: Precision
) -> Bisection:
    """`bisect` on the image that ``error`` names, or on its batch if the image alone agrees."""
    assert error.feeds is not None
    images = error.feeds["images"]
    alone = {**error.feeds, "images": images[error.image : error.image + 1]}
    bisection = bisect(reference, model, alone, NODE_TOLERANCES[precision])
    if bisection.differs is None and len(images) > 1:
        return bisect(reference, model, error.feeds, NODE_TOLERANCES[precision])
    return bisection


def bisect(
    reference: LayeredModel, model: onnx.ModelProto, feeds: Feeds, tolerance: float
) -> Bisection:
    """Compare ``model`` with ``reference`` node by node, up to the first whose `Difference` is
    greater than ``tolerance``."""
    nodes = Nodes(model, reference.run(feeds))
    outputs = nodes.compared
    differences: dict[str, Difference] = {}
    for start in range(0, len(outputs), CHUNK):
        differences |= nodes.compare(outputs[start : start + CHUNK], feeds)
        for output in outputs[start : start + CHUNK]:
            if differences[output].share > tolerance:
                source = nodes.source(output)
                agrees = source and nodes.layer(source, reference, differences[source])
                differs = nodes.layer(output, reference, differences[output])
                return Bisection(reference.name, outputs.index(output) + 1, agrees or None, differs)
    return Bisection(reference.name, len(outputs), None, None)


@dataclass(frozen=True)
class Subgraph:
    """What computes a value: nodes by their first output, names of initializers, and names of the
    values that it starts from, the reference's and the model's inputs."""

    nodes: dict[str, onnx.NodeProto]
    weights: list[str]
    given: set[str]


class Nodes:
    """A model's nodes, to be run apart on ``values``, the reference's.

    known: the nodes' outputs that ``values`` holds, with their places in the order in which they
    run. compared: those of them that must be equal.
    """

    def __init__(self, model: onnx.ModelProto, values: Values) -> None:
        self.model, self.values, self.types = model, values, value_types(model)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = {value.name for value in model.graph.input}
        self.producers = makers(model)
        order = [name for name in self.producers if name in values and self.types.get(name)]
        self.known = {name: place for place, name in enumerate(order)}
        # Of equal values either may come first: the nodes after a TopK read the reference's
        # indices, and the values that these belong to are compared.
        indices = {
            node.output[1]
            for node in model.graph.node
            if node.op_type == "TopK" and node.output[0] in self.known
        }
        self.compared = [name for name in order if name not in indices]

    def compare(self, outputs: Sequence[str], feeds: Feeds) -> dict[str, Difference]:
        """Each output's difference, by its name."""
        try:
            answers = self._run(outputs, feeds)
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            if len(outputs) == 1:
                return {outputs[0]: Difference(np.inf, str(error).strip().splitlines()[0])}
            half = len(outputs) // 2
            return self.compare(outputs[:half], feeds) | self.compare(outputs[half:], feeds)
        return {
            name: measure(self.values[name], answer)
            for name, answer in zip(outputs, answers, strict=True)
        }

    def layer(self, output: str, reference: LayeredModel, difference: Difference) -> Layer:
        """The node that computes ``output``."""
        weights = [name for name in self._subgraph(output).weights if "." in name]
        module = weights[0].rpartition(".")[0] if weights else reference.modules.get(output)
        shown = module.split(NETWORK, 1)[-1] if module else None
        return Layer(self.producers[output].op_type, output, shown, difference)

    def source(self, output: str) -> str | None:
        """The last value, in the order in which nodes run, that ``output`` is computed from."""
        read = self._subgraph(output).given & set(self.compared)
        return max(read, key=self.known.__getitem__, default=None)

    def _run(self, outputs: Sequence[str], feeds: Feeds) -> list[Array]:
        """The nodes' own ``outputs``, computed from the reference's values."""
        subgraphs = [self._subgraph(output) for output in outputs]
        chosen = {name for subgraph in subgraphs for name in subgraph.nodes}
        weights = {name for subgraph in subgraphs for name in subgraph.weights}
        given = {name for subgraph in subgraphs for name in subgraph.given}
        part = helper.make_graph(
            [self._renamed(n) for n in self.model.graph.node if n.output[0] in chosen],
            "part",
            [helper.make_tensor_value_info(name, self.types[name], None) for name in given],
            [helper.make_tensor_value_info(OWN + n, self.types[n], None) for n in outputs],
            [self.initializers[name] for name in weights],
        )
        model = helper.make_model(
            part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        values, types = self.values | feeds, self.types
        inputs = {
            name: values[name].astype(helper.tensor_dtype_to_np_dtype(types[name]), copy=False)
            for name in given
        }
        session = open_quietly(model, optimised=False)
        answers: list[Array] = session.run([OWN + name for name in outputs], inputs)
        return answers

    def _subgraph(self, output: str) -> Subgraph:
        subgraph = Subgraph({}, [], set())
        waiting = [self.producers[output]]
        while waiting:
            node = waiting.pop()
            if node.output[0] in subgraph.nodes:
                continue
            subgraph.nodes[node.output[0]] = node
            for name in reads(node):
                if name in self.initializers:
                    subgraph.weights.append(name)
                elif name in self.known or name in self.inputs:
                    subgraph.given.add(name)
                else:
                    waiting.append(self.producers[name])
        return subgraph

    def _renamed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """``node`` with outputs of its own, beside the reference's values of the same names."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for i, name in enumerate(node.output):
            if name in self.known:
                copy.output[i] = OWN + name
        return copy


def reads(node: onnx.NodeProto) -> set[str]:
    """The values that ``node`` needs, those that its branches take from outside among them."""
    names = set(node.input)
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs]:
            inner = {name for inside in body.node for name in reads(inside)}
            inner |= {value.name for value in body.output}
            local = {name for inside in body.node for name in inside.output}
            local |= {value.name for value in body.input}
            local |= {tensor.name for tensor in body.initializer}
            names |= inner - local
    return names - {""}


def measure(expected: Array, actual: Array) -> Difference:
    """How far ``actual`` is from ``expected``, arrays of one shape."""
    if expected.shape != actual.shape:
        return Difference(np.inf, f"its shape is {list(actual.shape)}, not {list(expected.shape)}")
    first, second = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(first)
    if (finite != np.isfinite(second)).any():
        return Difference(np.inf, "it is not finite where it should be")
    gaps = np.abs(first[finite] - second[finite])
    magnitudes = np.abs(first[finite & (np.abs(first) < INFINITE)])
    return Difference(float(gaps.max(initial=0) / (magnitudes.max(initial=0) or 1)))
