"""Raw outputs of a detector on real photos, tiled to the size of a larger detector's.

They are assembled from the shipped detector's outputs on the sample photos. In sparse ones, the
first anchors and classes hold a photo's outputs and the rest find nothing; in crowded ones, every
part holds a photo's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from torch import Tensor

from export.evaluation.photo_set import read_photos
from service.manifest import read_manifest

PACKAGE = Path("model_store/efficientdet_lite0_voc/1")
PHOTOS = Path("docs/photos")
NOTHING = -9.0  # a logit

Array = npt.NDArray[Any]


def shipped_outputs() -> tuple[Array, Array]:
    """Logits [P, A, C] and deltas [P, A, 4] of the shipped detector on the sample photos."""
    model = onnx.load(PACKAGE / "model.onnx")
    manifest = read_manifest(PACKAGE / "manifest.json")
    # the heads' outputs of all levels are concatenated; their width is the number of classes, or 4
    widths = {
        value.name: value.type.tensor_type.shape.dim[2].dim_value
        for value in model.graph.value_info
        if len(value.type.tensor_type.shape.dim) == 3
    }
    joined = [n.output[0] for n in model.graph.node if n.op_type == "Concat"]
    names = [
        next(name for name in joined if widths.get(name) == width)
        for width in (len(manifest.labels), 4)
    ]
    network = onnx.utils.Extractor(model).extract_model(["images"], names)
    session = ort.InferenceSession(network.SerializeToString())
    pixels = np.stack([photo.pixels for photo in read_photos(PHOTOS, manifest.input)])
    logits, deltas = session.run(names, {"images": pixels})
    return logits, deltas


@dataclass(frozen=True)
class RawOutputs:
    """Raw outputs of a larger detector's size, tiled from a smaller one's.

    logits [P, A, C] and deltas [P, A, 4] of its ``anchors`` [A, 4] on P photos.
    """

    logits: Array
    deltas: Array
    anchors: Tensor
    count: int  # of the larger detector's anchors
    classes: int  # of the larger detector

    @property
    def all_anchors(self) -> Tensor:
        return self.anchors.repeat(-(-self.count // len(self.anchors)), 1)[: self.count]

    def tile(self, images: int, crowded: bool) -> tuple[Array, Array]:
        """Logits [N, count, classes] and deltas [N, count, 4] of a batch."""
        photos, anchors, classes = self.logits.shape
        logits = np.full((images, self.count, self.classes), NOTHING, dtype=np.float32)
        deltas = np.empty((images, self.count, 4), dtype=np.float32)
        for image in range(images):
            for block, first in enumerate(range(0, self.count, anchors)):
                rows = slice(first, min(first + anchors, self.count))
                height = rows.stop - rows.start
                deltas[image, rows] = self.deltas[(image + block) % photos, :height]
                for group, left in enumerate(range(0, self.classes, classes)):
                    if crowded or (block, group) == (0, 0):
                        width = min(classes, self.classes - left)
                        photo = self.logits[(image + block + group) % photos]
                        logits[image, rows, left : left + width] = photo[:height, :width]
        return logits, deltas
