"""The PyTorch network that a package was exported from, behind the same code as the package."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from export.evaluation.column import PackageColumn
from export.onnx.graph import build_graph
from models.variants import find_variant
from models.weights import CheckpointError, load_checkpoint, load_into
from service.manifest import ModelManifest
from service.package import ModelPackage, PackageError

Array = npt.NDArray[Any]


class TorchSession:
    """A graph in PyTorch that runs as ONNX Runtime's session does."""

    def __init__(self, graph: nn.Module, manifest: ModelManifest) -> None:
        self._graph, self._manifest = graph, manifest

    @torch.inference_mode()
    def run(self, names: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
        """The outputs called ``names``."""
        inputs = [torch.from_numpy(feeds[tensor.name]) for tensor in self._manifest.inputs]
        outputs = self._graph(*inputs)
        tensors = [outputs] if isinstance(outputs, Tensor) else outputs
        known = (tensor.name for tensor in self._manifest.outputs)
        found = {name: tensor.numpy() for name, tensor in zip(known, tensors, strict=True)}
        return [found[name] for name in names]


class NetworkColumn(PackageColumn):
    """The network with the weights of a checkpoint; its input is the package's."""

    def __init__(self, weights: Path, manifest: ModelManifest) -> None:
        """Raises CheckpointError, or PackageError if the architecture is not known."""
        graph = _read_graph(weights, manifest)
        super().__init__(ModelPackage(manifest, TorchSession(graph, manifest)))
        self.title, self.source = "PyTorch", weights.name
        self.sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()


def _read_graph(weights: Path, manifest: ModelManifest) -> nn.Module:
    architecture = manifest.provenance.architecture
    try:
        variant = find_variant(architecture)
    except KeyError:
        raise PackageError(
            f"{manifest.name}/{manifest.version}: was exported from {architecture}, which is none"
            " of the architectures that `python -m models` lists"
        ) from None
    checkpoint = load_checkpoint(weights)
    if checkpoint.architecture not in (None, architecture):
        raise CheckpointError(f"{weights} is of {checkpoint.architecture}, not {architecture}")
    network = variant.build(len(manifest.labels))
    load_into(network, checkpoint.state, str(weights))
    multi_label = manifest.task == "classification" and manifest.activation == "sigmoid"
    return build_graph(network, manifest.input, multi_label)
