"""Images as the inputs of a package's graph."""

from collections.abc import Sequence

import numpy as np

from export.parity import Feeds, stack
from export.parity.model import Image
from service.manifest import ModelManifest

DTYPES = {"float": np.float32, "int64": np.int64, "bool": np.bool_}  # by ONNX Runtime's names


def to_feeds(manifest: ModelManifest, images: Sequence[Image], **settings: float | bool) -> Feeds:
    """``images`` uint8 [H, W, 3] as one batch, and what else the graph reads.

    A detector's thresholds are the manifest's defaults where ``settings`` do not name them.
    """
    feeds: Feeds = {"images": stack(images)}
    if manifest.task == "detection":
        values = {"class_agnostic": False, **manifest.defaults.model_dump(), **settings}
        for tensor in manifest.inputs[1:]:
            feeds[tensor.name] = np.array(values[tensor.name], dtype=DTYPES[tensor.dtype])
    return feeds
