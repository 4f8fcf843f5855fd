"""The graph as the PyTorch module that it was exported from, not compiled."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from handler import PhotoModel

from export.onnx.graph import build_graph
from models.checkpoints import load_checkpoint
from models.variants import find_variant
from models.weights import load_into


class EagerModel(PhotoModel):
    """Its weights are those of WEIGHTS in the environment."""

    def open_session(self, graph: Path, threads: int) -> Any:
        torch.set_num_threads(threads or torch.get_num_threads())
        variant = find_variant(self.manifest["provenance"]["architecture"])
        network = variant.build(len(self.manifest["labels"]))
        load_into(network, load_checkpoint(Path(os.environ["WEIGHTS"])).state, "WEIGHTS")
        return build_graph(network, variant.input).eval()

    def compute(self, feeds: dict[str, Any]) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = self.session(*(torch.as_tensor(value) for value in feeds.values()))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.numpy() for output in outputs]
