"""Models whose intermediate values can be read, by the names that PyTorch's exporter gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from export.onnx.nodes import copied, value_types
from export.onnx.trace import trace
from export.parity.model import Feeds, open_quietly
from models.variants import Variant

Values = Feeds  # arrays by name


@dataclass(frozen=True)
class LayeredModel:
    """A model whose intermediate values can be read.

    name: for messages. run: feeds -> values by name. modules: name of a value -> path of the module
    that computes it.
    """

    name: str
    run: Callable[[Feeds], Values]
    modules: Mapping[str, str]


def torch_layers(variant: Variant, graph: nn.Module) -> LayeredModel:
    """``graph``, traced as the exporter traces it, so that its values have the exporter's names."""
    program = trace(variant, graph)
    exported = program.exported_program
    assert exported is not None  # it is lacking only in programs that were loaded
    modules = {}
    for node in exported.graph.nodes:
        path = list(node.meta.get("nn_module_stack", {}).values())
        modules[node.name] = path[-1][0] if path else ""
    names = (str(value.name) for value in program.model.graph.outputs)
    outputs = dict(zip(names, exported.graph_signature.user_outputs, strict=True))

    def run(feeds: Feeds) -> Values:
        recorder = Recorder(exported.graph_module)
        with torch.no_grad():
            recorder.run(*_arguments(exported, feeds))
        renamed = {own: recorder.values[name] for own, name in outputs.items()}
        return recorder.values | renamed

    return LayeredModel("PyTorch", run, modules | {o: modules[n] for o, n in outputs.items()})


def onnx_layers(model: onnx.ModelProto, name: str) -> LayeredModel:
    """``model`` in ONNX Runtime without optimisation, each of its values an output."""
    types = value_types(model)
    values = [output for node in model.graph.node for output in node.output if types.get(output)]
    exposed = copied(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(
        helper.make_tensor_value_info(value, types[value], None) for value in values
    )
    session = open_quietly(exposed, optimised=False)
    return LayeredModel(
        name, lambda feeds: dict(zip(values, session.run(values, feeds), strict=True)), {}
    )


class Recorder(fx.Interpreter):
    """Runs a traced graph and keeps each node's value."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: Values = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.values[n.name] = value.numpy()
        return value


def _arguments(program: ExportedProgram, feeds: Feeds) -> list[Any]:
    """A traced graph's inputs in order: ``feeds``, and the weights that tracing made inputs."""
    held = {**program.constants, **program.state_dict}
    return [
        torch.from_numpy(feeds[spec.arg.name])
        if spec.kind == InputKind.USER_INPUT
        else held[spec.target]
        for spec in program.graph_signature.input_specs
    ]
