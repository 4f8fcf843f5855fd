"""Exporting a variant with seeded weights: the graph, and the parity gate's figures."""

from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.onnx.trace import to_onnx
from export.parity.comparison import TOLERANCES
from export.parity.gate import check_parity
from export.parity.model import onnx_model, torch_model
from models.variants import VARIANTS, at_size
from tests.fidelity.measure import pair

# The smallest and a large one of each family, and the side of the input that they are exported at.
EXPORTED = {
    "resnet18": 96,
    "resnet152": 96,
    "vgg11": 224,
    "vgg19_bn": 224,
    "efficientnet_b0": 96,
    "efficientnet_b7": 96,
    "tf_efficientnet_b0": 96,
    "tf_efficientnet_b7": 96,
    "efficientnet_lite0": 96,
    "efficientnet_lite4": 96,
    "retinanet_resnet18_fpn": 128,
    "retinanet_resnet101_fpn": 128,
    "retinanet_resnet50_fpn_v2": 128,
    "fasterrcnn_resnet50_fpn": 128,
    "efficientdet_lite0": 128,
    "efficientdet_lite4": 128,
    "efficientdet_d0": 128,
    "tf_efficientdet_d0": 128,
    "tf_efficientdet_d7x": 256,
}


@dataclass(frozen=True)
class ExportRow:
    """The gate's figures, at batch 1, 2 and 7, on photos with and without detections."""

    variant: str
    detections: int | None
    scores: float
    boxes: float | None


def export(variant: str, size: int, photos: Path = Path("docs/photos")) -> ExportRow:
    """Pass ``variant`` through the export and its parity gate; raises ParityError."""
    network, *_ = pair(variant, size)
    row = at_size(VARIANTS[variant], size)
    graph = build_graph(network, row.input)
    session = ort.InferenceSession(to_onnx(row, graph).SerializeToString())
    pixels = [photo.pixels for photo in read_photos(photos, row.input)]
    models = torch_model(graph), onnx_model(session)
    parity = check_parity(row.task, *models, pixels, TOLERANCES["fp32"])
    return ExportRow(
        variant,
        parity.detections_compared,
        parity.max_score_difference,
        parity.max_box_difference_px,
    )
