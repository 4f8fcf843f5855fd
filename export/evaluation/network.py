"""The PyTorch network that a package was exported from, behind the same code as the package."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from export.evaluation.column import PackageColumn
from export.onnx.graph import build_graph
from export.parity.model import TorchSession
from export.settings import (
    PROPOSALS,
    parse_anchor_sizes,
    parse_aspect_ratios,
    to_anchors,
    to_network,
    to_settings,
)
from models.checkpoint_file import find_weights
from models.checkpoints import load_checkpoint
from models.sharing import tempered
from models.variants import anchors_of, find_variant, with_anchors
from models.weights import load_into
from service.manifest import ModelManifest
from service.package import ModelPackage, PackageError

Read = Callable[[str], Any]
# Settings of a manifest that change the network itself, and how they are read.
ANCHORS: dict[str, Read] = {
    "anchor_sizes": parse_anchor_sizes,
    "aspect_ratios": parse_aspect_ratios,
}
OF_NETWORKS: dict[str, Read] = {
    **dict.fromkeys(PROPOSALS, float),
    "box_weights": lambda text: tuple(map(float, text.split())),
}


class NetworkColumn(PackageColumn):
    """The network with the weights of a checkpoint; its input is the package's."""

    def __init__(self, weights: Path, manifest: ModelManifest, *, outlines: bool = False) -> None:
        """Raises CheckpointError, or PackageError if the architecture is not known."""
        graph = _read_graph(weights, manifest)
        super().__init__(ModelPackage(manifest, TorchSession(graph)), outlines=outlines)
        self.title, self.source = "PyTorch", weights.name
        self.sha256 = hashlib.sha256(find_weights(weights).read_bytes()).hexdigest()


def _read_graph(weights: Path, manifest: ModelManifest) -> nn.Module:
    architecture = manifest.provenance.architecture
    try:
        variant = find_variant(architecture)
    except KeyError:
        raise PackageError(
            f"{manifest.name}/{manifest.version}: was exported from {architecture}, which is none"
            " of the architectures that `python -m models` lists"
        ) from None
    stated = manifest.provenance.settings or {}
    own = {name: read(stated[name]) for name, read in ANCHORS.items() if name in stated}
    anchors = anchors_of(variant)
    if own and anchors is not None:
        variant = with_anchors(variant, to_anchors(anchors, to_settings(own)))
    network = variant.build(len(manifest.labels))
    own = {name: read(stated[name]) for name, read in OF_NETWORKS.items() if name in stated}
    network = to_network(network, to_settings(own))
    load_into(network, load_checkpoint(weights, architecture).state, str(weights))
    if "temperature" in stated:
        network = tempered(network, float(stated["temperature"]))
    multi_label = manifest.task == "classification" and manifest.activation == "sigmoid"
    return build_graph(network, manifest.input, multi_label)
