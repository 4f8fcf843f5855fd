"""Where an exported graph parts from its reference: the first node that answers otherwise.

Each node is run on the values that the reference has in its place, not on those of the nodes
before it. So what is wrong with one node does not show in any other, rounding does not add up, and
the nodes need no search: all are compared in the order in which they run.

    reference ─► value ─────────────► value ─────────► value …
                   └─► node ─► compare  └─► node ─► compare

The exporter calls ONNX's values after the nodes of `torch.export` that they come from; what it has
no such value for, such as the inside of `export.onnx.operators`, is compared as one with what
follows.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from export.parity import Feeds, ParityError
from export.parity.layers import LayeredModel, Values
from export.parity.model import Array
from service.manifest import Precision

# What one node may add, as a share of the greatest magnitude in its output. In full precision the
# architectures stay below 1e-5.
NODE_TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2, "int8": 0.2}
CHUNK = 64  # nodes compared in one run
OWN = "own:"  # before the name of what a node answers where the reference's value has the name
FILLING = 1e30  # magnitudes from here on stand for infinity, as in a maximum's padding
NETWORK = "network."  # `export.onnx.graph` has the network below it


@dataclass(frozen=True)
class Measured:
    """The greatest difference in a node's output, as a share of the greatest magnitude there;
    infinite, with the reason, where the two cannot be compared."""

    difference: float
    reason: str = ""

    def __str__(self) -> str:
        return self.reason or f"{self.difference:.1e} of the greatest value"


@dataclass(frozen=True)
class Layer:
    """A node: its operator, its output's name, and its module's path where that is known."""

    op_type: str
    output: str
    module: str | None
    measured: Measured


@dataclass(frozen=True)
class Bisection:
    """parted: the first node that differs from ``reference``, None if none does. agreed: the last
    of those that it reads from, None if that is an input. compared: how many nodes were."""

    reference: str
    compared: int
    agreed: Layer | None
    parted: Layer | None


class LocatedParityError(ParityError):
    """A ParityError whose node was looked for."""

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

    ``reference`` is called only then: to trace a graph anew takes as long as to export it.
    """
    try:
        yield
    except ParityError as error:
        if error.feeds is None:
            raise
        on_step("looking for the node at which the two part")
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
    if bisection.parted is None and len(images) > 1:
        return bisect(reference, model, error.feeds, NODE_TOLERANCES[precision])
    return bisection


def bisect(
    reference: LayeredModel, model: onnx.ModelProto, feeds: Feeds, tolerance: float
) -> Bisection:
    """Compare ``model`` with ``reference`` node by node, up to the first that differs by more than
    ``tolerance``; see `Measured`."""
    parts = Parts(model, reference.run(feeds))
    outputs = parts.judged
    measured: dict[str, Measured] = {}
    for start in range(0, len(outputs), CHUNK):
        measured |= parts.compare(outputs[start : start + CHUNK], feeds)
        for output in outputs[start : start + CHUNK]:
            if measured[output].difference > tolerance:
                source = parts.source(output)
                return Bisection(
                    reference.name,
                    outputs.index(output) + 1,
                    agreed=None
                    if source is None
                    else parts.layer(source, reference, measured[source]),
                    parted=parts.layer(output, reference, measured[output]),
                )
    return Bisection(reference.name, len(outputs), None, None)


@dataclass(frozen=True)
class Reach:
    """What a value takes to compute: nodes by their first output, names of initializers, and names
    of what is given, the reference's values and the model's inputs."""

    nodes: dict[str, onnx.NodeProto]
    weights: list[str]
    given: set[str]


class Parts:
    """A model's nodes, to be run apart on ``values``, the reference's.

    comparable: the nodes' outputs that ``values`` holds, by their places in the order in which they
    run. judged: those of them that must be equal.
    """

    def __init__(self, model: onnx.ModelProto, values: Values) -> None:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        described = [*inferred.input, *inferred.value_info, *inferred.output]
        self.types = {value.name: value.type.tensor_type.elem_type for value in described}
        self.model, self.values = model, values
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = {value.name for value in model.graph.input}
        self.producers = {name: node for node in model.graph.node for name in node.output if name}
        order = [name for name in self.producers if name in values and self.types.get(name)]
        self.comparable = {name: place for place, name in enumerate(order)}
        # Of equal values either may come first: indices are taken as the reference gives them, and
        # the values that they belong to are compared.
        indices = {
            node.output[1]
            for node in model.graph.node
            if node.op_type == "TopK" and node.output[0] in self.comparable
        }
        self.judged = [name for name in order if name not in indices]

    def compare(self, outputs: Sequence[str], feeds: Feeds) -> dict[str, Measured]:
        """Each output's difference, by its name."""
        try:
            answers = self._run(outputs, feeds)
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            if len(outputs) == 1:
                return {outputs[0]: Measured(np.inf, str(error).strip().splitlines()[0])}
            half = len(outputs) // 2
            return self.compare(outputs[:half], feeds) | self.compare(outputs[half:], feeds)
        return {
            name: measure(self.values[name], answer)
            for name, answer in zip(outputs, answers, strict=True)
        }

    def layer(self, output: str, reference: LayeredModel, measured: Measured) -> Layer:
        """The node that makes ``output``."""
        weights = [name for name in self._reach(output).weights if "." in name]
        module = weights[0].rpartition(".")[0] if weights else reference.modules.get(output)
        shown = module.split(NETWORK, 1)[-1] if module else None
        return Layer(self.producers[output].op_type, output, shown, measured)

    def source(self, output: str) -> str | None:
        """The last value, in the order in which nodes run, that ``output`` is computed from."""
        read = self._reach(output).given & set(self.judged)
        return max(read, key=self.comparable.__getitem__, default=None)

    def _run(self, outputs: Sequence[str], feeds: Feeds) -> list[Array]:
        """What the nodes of ``outputs`` answer when they are given the reference's values."""
        reaches = [self._reach(output) for output in outputs]
        chosen = {name for reach in reaches for name in reach.nodes}
        weights = {name for reach in reaches for name in reach.weights}
        given = {name for reach in reaches for name in reach.given}
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
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4  # a node that cannot run is reported by the caller
        session = ort.InferenceSession(model.SerializeToString(), options)
        known = self.values | feeds
        values = {name: known[name].astype(self._dtype(name), copy=False) for name in given}
        answers: list[Array] = session.run([OWN + name for name in outputs], values)
        return answers

    def _reach(self, output: str) -> Reach:
        reach = Reach({}, [], set())
        waiting = [self.producers[output]]
        while waiting:
            node = waiting.pop()
            if node.output[0] in reach.nodes:
                continue
            reach.nodes[node.output[0]] = node
            for name in reads(node):
                if name in self.initializers:
                    reach.weights.append(name)
                elif name in self.comparable or name in self.inputs:
                    reach.given.add(name)
                else:
                    waiting.append(self.producers[name])
        return reach

    def _renamed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """``node``, whose answers are kept apart from the reference's values of the same name."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for i, name in enumerate(node.output):
            if name in self.comparable:
                copy.output[i] = OWN + name
        return copy

    def _dtype(self, name: str) -> np.dtype[Any]:
        return helper.tensor_dtype_to_np_dtype(self.types[name])


def reads(node: onnx.NodeProto) -> set[str]:
    """The values that ``node`` needs, those that its branches take from outside among them."""
    names = set(node.input)
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs]:
            inner = {name for inside in body.node for name in reads(inside)}
            inner |= {value.name for value in body.output}
            made = {name for inside in body.node for name in inside.output}
            made |= {value.name for value in body.input}
            made |= {tensor.name for tensor in body.initializer}
            names |= inner - made
    return names - {""}


def measure(wanted: Array, got: Array) -> Measured:
    """How far ``got`` is from ``wanted``."""
    if wanted.shape != got.shape:
        return Measured(np.inf, f"its shape is {list(got.shape)}, not {list(wanted.shape)}")
    first, second = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(first)
    if (finite != np.isfinite(second)).any():
        return Measured(np.inf, "it is not finite where it should be")
    gaps = np.abs(first[finite] - second[finite])
    magnitudes = np.abs(first[finite & (np.abs(first) < FILLING)])
    return Measured(float(gaps.max(initial=0) / (magnitudes.max(initial=0) or 1)))
