"""The whole path from uint8 images to answers as one module: what is exported, and its reference.

images uint8 [N, H, W, 3] ─ normalise ─ network ─ decode ─ select ─► detections
images uint8 [N, H, W, 3] ─ normalise ─ network ─ softmax ─────────► probabilities
"""

import torch
from torch import Tensor, nn

from export.selection import select_detections
from models.detector import OneStageDetector
from models.postprocess import DetectionDecoder
from models.variants import InputSpec


class Normalise(nn.Module):
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W], (x / 255 - mean) / std for each channel."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.scale = nn.Buffer((1 / (255 * std)).reshape(1, 3, 1, 1))
        self.shift = nn.Buffer((-mean / std).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift


class DetectorGraph(nn.Module):
    """A detector's inputs and outputs are those of contract 1, in its order."""

    def __init__(self, network: OneStageDetector, spec: InputSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network
        self.decoder = DetectionDecoder(network.anchors, network.box_coder, spec.height, spec.width)

    def forward(
        self,
        images: Tensor,
        score_threshold: Tensor,
        iou_threshold: Tensor,
        max_detections: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits, deltas = self.network(self.normalise(images))
        scores, boxes = self.decoder(logits, deltas)
        detections: tuple[Tensor, Tensor, Tensor, Tensor] = select_detections(
            scores, boxes, score_threshold, iou_threshold, max_detections
        )
        return detections


class ClassifierGraph(nn.Module):
    """Probabilities float32 [N, C], each row adding up to one."""

    def __init__(self, network: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits.softmax(dim=1)


def build_graph(network: nn.Module, spec: InputSpec) -> nn.Module:
    """The graph of a trained ``network``, ready for inference."""
    graph: nn.Module
    if isinstance(network, OneStageDetector):
        graph = DetectorGraph(network, spec)
    else:
        graph = ClassifierGraph(network, spec)
    return graph.eval().requires_grad_(False)
