"""What the gate compares: anything that answers feeds, whatever runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import Tensor, nn

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Feeds = dict[str, Array]  # a graph's inputs by the names of contract 1
Outputs = list[Array]  # a graph's outputs in the order of contract 1


@dataclass(frozen=True)
class Model:
    """``name`` is what messages and the manifest call it."""

    name: str
    run: Callable[[Feeds], Outputs]


def torch_model(graph: nn.Module, name: str = "PyTorch") -> Model:
    """A graph of `export.onnx.graph`, run eagerly."""

    def run(feeds: Feeds) -> Outputs:
        with torch.no_grad():
            outputs = graph(**{key: torch.from_numpy(value) for key, value in feeds.items()})
        return [o.numpy() for o in ([outputs] if isinstance(outputs, Tensor) else outputs)]

    return Model(name, run)


def onnx_model(session: ort.InferenceSession, name: str = "ONNX Runtime") -> Model:
    """An exported graph, as it is optimised for serving."""

    def run(feeds: Feeds) -> Outputs:
        outputs: Outputs = session.run(None, feeds)
        return outputs

    return Model(name, run)
