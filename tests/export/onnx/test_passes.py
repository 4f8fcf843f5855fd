"""Passes change a graph where they say so, and none of its answers."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir
from torch import Tensor, nn
from torch.nn import functional as F

from export.onnx.passes import LOWEST, fold_batch_norms, fold_focus, fold_pads, resize_by_scale
from export.onnx.trace import OPSET


class SharedConv(nn.Module):
    """One convolution on two levels, each with a norm of its own, as in EfficientDet's heads."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, bias=bias)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6, eps=1e-3) for _ in range(2))
        self.alone = nn.BatchNorm2d(4)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, ...]:
        first, second = self.norms
        return first(self.conv(fine)), second(self.conv(coarse)), self.conv(self.alone(coarse))


def trained(bias: bool) -> SharedConv:
    torch.manual_seed(0)
    module = SharedConv(bias)
    for norm in (*module.norms, module.alone):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return module.eval().requires_grad_(False)


def to_ir(module: nn.Module, inputs: tuple[Tensor, ...]) -> ir.Model:
    program = torch.onnx.export(
        module, inputs, dynamo=True, verbose=False, input_names=["fine", "coarse"]
    )
    return program.model


def count(model: onnx.ModelProto, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph.node)


def test_norms_after_a_shared_convolution_are_folded() -> None:
    for bias in (False, True):
        module = trained(bias)
        inputs = torch.randn(2, 4, 9, 9), torch.randn(2, 4, 5, 5)
        model = to_ir(module, inputs)
        before = ir.to_proto(model)
        assert count(before, "BatchNormalization") == 3
        fold_batch_norms(model)
        after = ir.to_proto(model)
        assert count(after, "BatchNormalization") == 1  # which follows no convolution
        assert count(after, "Conv") == 3
        session = ort.InferenceSession(after.SerializeToString())
        feeds = {"fine": inputs[0].numpy(), "coarse": inputs[1].numpy()}
        for found, expected in zip(session.run(None, feeds), module(*inputs), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


SIDES = [0, 0, 0, 0, 0, 0, 1, 1]


def pooling(pads: list[int], value: float) -> onnx.ModelProto:
    values = {"pads": np.array(pads), "value": np.array(value, np.float32)}
    nodes = [
        helper.make_node("Pad", ["maps", "pads", "value"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["pooled"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "pooling",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 2, 6, 8])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", "C", "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("pads", "value", "folded"),
    [
        pytest.param(SIDES, LOWEST, True, id="after"),
        pytest.param([0, 0, 1, 1, 0, 0, 1, 1], LOWEST, True, id="around"),
        pytest.param(SIDES, 0.0, False, id="with zeros"),
        pytest.param([0, 1, 0, 0, 0, 0, 1, 1], LOWEST, False, id="channels"),
    ],
)
def test_pads_are_folded_into_a_pooling(pads: list[int], value: float, folded: bool) -> None:
    model = pooling(pads, value)
    feeds = {"maps": np.random.default_rng(0).normal(size=(3, 2, 6, 8)).astype(np.float32) - 5}
    before = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    fold_pads(model)
    assert (model.graph.node[0].op_type == "MaxPool") == folded
    assert len(model.graph.initializer) == (0 if folded else 2)
    after = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_array_equal(after[0], before[0])


def focus(places: str = "abcd", step: int = 2, axis: int = 1, **conv: object) -> onnx.ModelProto:
    """A Focus and its convolution: each place is a first row and column, and "-" the picture."""
    nodes, parts = [], []
    for number, place in enumerate(places):
        name, (row, column) = "picture", divmod("abcd-".index(place), 2)
        for axis_name, start in (("rows", row), ("columns", column)) if place != "-" else ():
            bounds = [f"from {start}", "end", axis_name, "step"]
            nodes.append(helper.make_node("Slice", [name, *bounds], [f"{name}.{number}"]))
            name = f"{name}.{number}"
        parts.append(name)
    nodes.append(helper.make_node("Concat", parts, ["joined"], axis=axis))
    stated = {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], **conv}
    nodes.append(helper.make_node("Conv", ["joined", "weight", "bias"], ["maps"], **stated))
    rng = np.random.default_rng(0)
    group = conv.get("group", 1)
    weight = rng.normal(size=(6, 3 * len(places) // group, 3, 3)).astype(np.float32)
    values = {"weight": weight, "bias": rng.normal(size=6).astype(np.float32)}
    bounds = {"from 0": 0, "from 1": 1, "end": 2**62, "rows": 2, "columns": 3, "step": step}
    values |= {name: np.array([value]) for name, value in bounds.items()}
    graph = helper.make_graph(
        nodes,
        "focus",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, 12, 16])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", "C", "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("model", "folded"),
    [
        pytest.param(focus(), True, id="all four"),
        pytest.param(focus("acbd"), True, id="as YOLOX orders them"),
        pytest.param(focus("aad"), True, id="one twice and one left out"),
        pytest.param(focus(dilations=[2, 2]), False, id="dilated"),
        pytest.param(focus(strides=[2, 2]), False, id="in larger steps"),
        pytest.param(focus(group=2), False, id="in groups"),
        pytest.param(focus(step=4), False, id="every fourth pixel"),
    ],
)
def test_a_focus_is_folded_into_its_convolution(model: onnx.ModelProto, folded: bool) -> None:
    feeds = {"picture": np.random.default_rng(1).normal(size=(2, 3, 12, 16)).astype(np.float32)}
    before = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    fold_focus(model)
    assert (count(model, "Slice") == 0) == folded
    assert len(model.graph.node) == (1 if folded else count(model, "Slice") + 2)
    after = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-4, atol=1e-4)


def test_what_is_no_focus_stays() -> None:
    """A picture beside its samples, and samples that are joined as rows: no session runs them."""
    for model in (focus("ab-"), focus(axis=2)):
        nodes = len(model.graph.node)
        fold_focus(model)
        assert (len(model.graph.node), count(model, "Concat")) == (nodes, 1)


class Upsampling(nn.Module):
    def __init__(self, *size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, size=self.size, mode="nearest") + 1


@pytest.mark.parametrize(
    ("size", "by_scale"),
    [
        pytest.param((6, 10), True, id="twice"),
        pytest.param((9, 10), True, id="three times and twice"),
        pytest.param((5, 10), False, id="not a multiple"),
    ],
)
@pytest.mark.parametrize("vary", [False, True], ids=["fixed", "varying"])
def test_upsampling_by_whole_factors_is_by_constant_scales(
    size: tuple[int, int], by_scale: bool, vary: bool
) -> None:
    module = Upsampling(*size).eval()
    axes = {0: torch.export.Dim("N")} | ({2: torch.export.Dim("H")} if vary else {})
    program = torch.onnx.export(
        module,
        (torch.zeros(2, 4, 3, 5),),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=(axes,),
        input_names=["maps"],
    )
    assert program is not None
    resize_by_scale(program.model)
    model = ir.to_proto(program.model)
    found = [node.op_type for node in model.graph.node]
    assert ("Shape" not in found) == (by_scale and not vary)
    maps = torch.randn(3, 4, 3, 5)
    (answer,) = ort.InferenceSession(model.SerializeToString()).run(None, {"maps": maps.numpy()})
    np.testing.assert_array_equal(answer, module(maps).numpy())
