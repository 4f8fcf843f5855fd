"""What the exporter gives is checked before anybody gets it."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from export.onnx import trace
from export.onnx.checks import GraphError, check_size
from export.onnx.trace import to_onnx
from models.variants import VARIANTS, at_size

VARIANT = at_size(VARIANTS["resnet18"], 32)


class Mean(nn.Module):
    """The least of classifiers, whose one class is as likely as the image is bright."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Buffer(torch.tensor(1 / 255, dtype=dtype))

    def forward(self, images: Tensor) -> Tensor:
        brightness = images.to(self.weight.dtype).mean(dim=(1, 2, 3)) * self.weight
        return brightness.unsqueeze(1).to(torch.float32)


def test_sound_graph_is_given() -> None:
    model = to_onnx(VARIANT, Mean(torch.float32))
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["probabilities"]


def test_graph_that_computes_in_float64_is_refused() -> None:
    with pytest.raises(GraphError, match="computes in float64"):
        to_onnx(VARIANT, Mean(torch.float64))


def test_graph_too_large_for_one_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "check_size", partial(check_size, most=4))
    with pytest.raises(GraphError, match="the weights are"):
        to_onnx(VARIANT, Mean(torch.float32))
