"""Batch norms are folded into convolutions, shared ones as well, and nothing else changes."""

import numpy as np
import onnxruntime as ort
import torch
from onnx import ModelProto
from onnxscript import ir
from torch import Tensor, nn

from export.batch_norms import fold_batch_norms


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


def count(model: ModelProto, operator: str) -> int:
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
