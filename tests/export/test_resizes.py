"""Upsampling to a whole multiple is by that scale, and any other as it was."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnxscript import ir
from torch import Tensor, nn
from torch.nn import functional as F

from export.onnx_file import OPSET
from export.resizes import resize_by_scale


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
def test_answers_stay(size: tuple[int, int], by_scale: bool, vary: bool) -> None:
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
