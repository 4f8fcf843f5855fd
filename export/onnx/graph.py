"""The whole path from uint8 images to answers as one module: what is exported and compared with.

images uint8 [N, H, W, 3] ─ normalise ─ network ─ cut ─ decode ─ select ─► detections
                                           └── P3 of the pyramid ─ snake ─► and their contours
images uint8 [N, H, W, 3] ─ normalise ─ network ─ softmax or sigmoid ► probabilities
"""

from inspect import signature

import torch
from torch import Tensor, nn

from models.anchors import AnchorGenerator
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.faster_rcnn import FasterRCNN
from models.operators import (
    candidate_anchors,
    outlined_boxes,
    padded_contours,
    select_detections,
)
from models.postprocess import (
    MAX_CANDIDATES,
    decode_anchors,
    decode_given_regions,
    decode_regions,
)
from models.rcnn import RCNN
from service.imaging.input_spec import InputSpec
from service.manifest import (
    CLASSIFICATION_OUTPUTS,
    CONTOURS,
    DETECTION_OUTPUTS,
    NOVELTY_OUTPUTS,
    PackageTask,
)

OUTPUTS: dict[PackageTask, tuple[str, ...]] = {
    "detection": DETECTION_OUTPUTS,
    "classification": CLASSIFICATION_OUTPUTS,
    "novelty": NOVELTY_OUTPUTS,
}


class Normalise(nn.Module):
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W], (x * scale - mean) / std for each channel, in the
    network's order of channels."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.scale = nn.Buffer((1 / (spec.unit * std)).reshape(1, 3, 1, 1))
        self.shift = nn.Buffer((-mean / std).reshape(1, 3, 1, 1))
        self.channels = nn.Buffer(torch.tensor([2, 1, 0])) if spec.channel_order == "bgr" else None

    def forward(self, images: Tensor) -> Tensor:
        images = images.permute(0, 3, 1, 2)
        if self.channels is not None:  # after it: whole planes are copied faster than single bytes
            images = images.index_select(1, self.channels)
        return images.to(torch.float32) * self.scale + self.shift


def decode_best(
    logits: Tensor,  # [N, A, C]
    deltas: Tensor,  # [N, A, 4]
    anchors: Tensor,  # [A, 4]
    coder: BoxCoder,
    height: int,
    width: int,
    score_threshold: Tensor,
    max_detections: Tensor,
) -> tuple[Tensor, Tensor]:
    """`decode_anchors` of the `candidate_anchors` only: scores [N, k, C] and boxes [N, k, 4].

    Logits have the order of their scores, so candidates are chosen before anything is decoded.
    """
    top = candidate_anchors(logits, score_threshold, max_detections, MAX_CANDIDATES)  # [N, k]
    images, count = logits.shape[:2]
    rows = top + torch.arange(images).unsqueeze(1) * count  # among all images' anchors
    return decode_anchors(
        logits.flatten(0, 1)[rows], deltas.flatten(0, 1)[rows], anchors[top], coder, height, width
    )


class FixedSizeDecoder(nn.Module):
    """Scores and boxes of a one-stage detector whose input has one size: anchors are constants."""

    def __init__(self, network: OneStageDetector, spec: InputSpec) -> None:
        super().__init__()
        self.network = network
        self.height, self.width = spec.height, spec.width
        anchors = AnchorGenerator(network.anchors).over_input(spec.height, spec.width)
        self.anchors = nn.Buffer(anchors)

    def forward(
        self, images: Tensor, score_threshold: Tensor, max_detections: Tensor
    ) -> tuple[Tensor, Tensor]:
        pyramid = self.network.pyramid(self.network.backbone(images))
        return self.decode(pyramid, images, score_threshold, max_detections)

    def decode(
        self, pyramid: list[Tensor], images: Tensor, score_threshold: Tensor, max_detections: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of the ``pyramid`` of ``images``."""
        logits, deltas = self.network.run_heads(pyramid)
        coder, size = self.network.box_coder, (self.height, self.width)
        settings = score_threshold, max_detections
        return decode_best(logits, deltas, self.anchors, coder, *size, *settings)


class VaryingSizeDecoder(nn.Module):
    """Scores and boxes of a one-stage detector whose input varies: anchors are computed for each
    input size."""

    def __init__(self, network: OneStageDetector) -> None:
        super().__init__()
        self.network = network
        self.anchors = AnchorGenerator(network.anchors)

    def forward(
        self, images: Tensor, score_threshold: Tensor, max_detections: Tensor
    ) -> tuple[Tensor, Tensor]:
        pyramid = self.network.pyramid(self.network.backbone(images))
        return self.decode(pyramid, images, score_threshold, max_detections)

    def decode(
        self, pyramid: list[Tensor], images: Tensor, score_threshold: Tensor, max_detections: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of the ``pyramid`` of ``images``."""
        network = self.network
        height, width = images.shape[-2], images.shape[-1]
        grids = [(x.shape[-2], x.shape[-1]) for x in pyramid]
        anchors = torch.cat(self.anchors.levels(height, width, grids))
        logits, deltas = network.run_heads(pyramid)
        settings = score_threshold, max_detections
        return decode_best(logits, deltas, anchors, network.box_coder, height, width, *settings)


class RegionDecoder(nn.Module):
    """Scores and boxes of a two-stage detector; they do not depend on the settings."""

    def __init__(self, network: FasterRCNN) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, score_threshold: Tensor, max_detections: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits, deltas, proposals, scores = self.network(images)
        return decode_regions(
            logits,
            deltas,
            proposals,
            scores,
            self.network.box_coder,
            height=images.shape[-2],
            width=images.shape[-1],
        )


class DetectorGraph(nn.Module):
    """A detector from pixels to detections; inputs and outputs are those of docs/graph.md, in its
    order."""

    def __init__(self, decoder: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.decoder = decoder

    def forward(
        self,
        images: Tensor,
        score_threshold: Tensor,
        iou_threshold: Tensor,
        max_detections: Tensor,
        class_agnostic: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scores, boxes = self.decoder(self.normalise(images), score_threshold, max_detections)
        detections: tuple[Tensor, Tensor, Tensor, Tensor] = select_detections(
            scores,
            boxes,
            score_threshold,
            iou_threshold,
            max_detections,
            MAX_CANDIDATES,
            class_agnostic,
        )
        return detections


class OutlinedGraph(nn.Module):
    """A detector with a snake from pixels to detections, and the contour of each."""

    def __init__(self, decoder: FixedSizeDecoder | VaryingSizeDecoder, spec: InputSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.decoder = decoder

    def forward(
        self,
        images: Tensor,
        score_threshold: Tensor,
        iou_threshold: Tensor,
        max_detections: Tensor,
        class_agnostic: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        normalised = self.normalise(images)
        network = self.decoder.network
        pyramid = network.pyramid(network.backbone(normalised))
        scores, boxes = self.decoder.decode(pyramid, normalised, score_threshold, max_detections)
        number, boxes, scores, labels = select_detections(
            scores,
            boxes,
            score_threshold,
            iou_threshold,
            max_detections,
            MAX_CANDIDATES,
            class_agnostic,
        )
        assert network.snake is not None
        contours = network.snake.outlines(pyramid[0], outlined_boxes(number, boxes))
        return number, boxes, scores, labels, padded_contours(number, boxes, contours)


class RCNNGraph(nn.Module):
    """An R-CNN from pixels, and regions float32 [N, R, 4] in them, to detections."""

    def __init__(self, network: RCNN, spec: InputSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network

    def forward(
        self,
        images: Tensor,
        score_threshold: Tensor,
        iou_threshold: Tensor,
        max_detections: Tensor,
        class_agnostic: Tensor,
        regions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        normalised = self.normalise(images)
        logits, deltas = self.network(normalised, regions)
        height, width = normalised.shape[-2:]
        scores, boxes = decode_given_regions(
            logits, deltas, regions, self.network.box_coder, height, width
        )
        detections: tuple[Tensor, Tensor, Tensor, Tensor] = select_detections(
            scores,
            boxes,
            score_threshold,
            iou_threshold,
            max_detections,
            MAX_CANDIDATES,
            class_agnostic,
        )
        return detections


class ClassifierGraph(nn.Module):
    """A classifier from pixels to probabilities float32 [N, C]: softmax over the classes, or with
    ``multi_label`` a sigmoid of each."""

    def __init__(self, network: nn.Module, spec: InputSpec, multi_label: bool) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network
        self.multi_label = multi_label

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)


def inputs_of(graph: nn.Module) -> tuple[str, ...]:
    """The names of a graph's inputs."""
    return tuple(signature(graph.forward).parameters)


def outputs_of(task: PackageTask, graph: nn.Module) -> tuple[str, ...]:
    """The names of the outputs of a graph for ``task``."""
    return OUTPUTS[task] + ((CONTOURS,) if isinstance(graph, OutlinedGraph) else ())


def build_graph(network: nn.Module, spec: InputSpec, multi_label: bool = False) -> nn.Module:
    """The graph of a trained ``network``, in evaluation mode and without gradients.

    spec: its input. multi_label: whether a classifier gives each class a probability of its own.
    """
    graph: nn.Module
    if isinstance(network, RCNN):
        graph = RCNNGraph(network, spec)
    elif isinstance(network, FasterRCNN):
        graph = DetectorGraph(RegionDecoder(network), spec)
    elif isinstance(network, OneStageDetector):
        decoder = VaryingSizeDecoder(network) if spec.varies else FixedSizeDecoder(network, spec)
        outlined = network.snake is not None
        graph = OutlinedGraph(decoder, spec) if outlined else DetectorGraph(decoder, spec)
    else:
        graph = ClassifierGraph(network, spec, multi_label)
    return graph.eval().requires_grad_(False)
