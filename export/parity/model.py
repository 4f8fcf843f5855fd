"""What the parity gate compares: anything that turns feeds into outputs, whatever runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from export.onnx.graph import inputs_of
from service.manifest import DETECTION_INPUTS, REGIONS, PackageManifest

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Feeds = dict[str, Array]  # a graph's inputs by name (docs/graph.md)
Outputs = list[Array]  # a graph's outputs in the order of docs/graph.md

GREY = 128
WINDOWS = (1, 2, 3)  # of a side, beside each other


@dataclass(frozen=True)
class Model:
    """``name`` is what messages call it; ``inputs`` are those that `run` is to be given."""

    name: str
    run: Callable[[Feeds], Outputs]
    inputs: Sequence[str] = DETECTION_INPUTS


class TorchSession:
    """A graph of `export.onnx.graph` behind the interface of ONNX Runtime's session."""

    def __init__(self, graph: nn.Module) -> None:
        self._graph = graph
        self.inputs = inputs_of(graph)

    @torch.inference_mode()
    def run(self, names: Sequence[str] | None, feeds: Feeds) -> Outputs:
        """All outputs in the graph's order, of which ``names`` must be the names, if given."""
        outputs = self._graph(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        return [o.numpy() for o in ([outputs] if isinstance(outputs, Tensor) else outputs)]


def torch_model(graph: nn.Module) -> Model:
    """A graph of `export.onnx.graph`, run eagerly."""
    session = TorchSession(graph)
    return Model("PyTorch", lambda feeds: session.run(None, feeds), session.inputs)


def onnx_model(session: ort.InferenceSession, name: str = "ONNX Runtime") -> Model:
    """An exported graph, as it is optimised for serving."""
    inputs = [value.name for value in session.get_inputs()]
    return Model(name, lambda feeds: session.run(None, feeds), inputs)


def open_quietly(model: onnx.ModelProto, optimised: bool = True) -> ort.InferenceSession:
    """``model`` on the CPU, without ONNX Runtime's messages on it.

    optimised: as for serving; else each node runs as it is written.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # threads that wait by spinning take the processors from what runs next, which is not this
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def stack(images: Sequence[Image]) -> Image:
    """Images [H, W, 3] as one batch [N, H, W, 3]; smaller ones are filled up with grey."""
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    batch = np.full((len(images), height, width, 3), GREY, dtype=np.uint8)
    for row, image in zip(batch, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return batch


def feeds_of(
    inputs: Sequence[str],
    images: Image,
    score_threshold: float = 0.0,
    iou_threshold: float = 0.0,
    max_detections: int = 0,
    class_agnostic: bool = False,
) -> Feeds:
    """The ``inputs`` of a graph for a batch [N, H, W, 3]; regions are `windows`."""
    feeds: Feeds = {
        "images": images,
        "score_threshold": np.array(score_threshold, dtype=np.float32),
        "iou_threshold": np.array(iou_threshold, dtype=np.float32),
        "max_detections": np.array(max_detections, dtype=np.int64),
        "class_agnostic": np.array(class_agnostic),
    }
    if REGIONS in inputs:
        feeds[REGIONS] = np.stack([windows(*images.shape[1:3])] * len(images))
    return {name: feeds[name] for name in inputs}


def windows(height: int, width: int) -> Array:
    """Boxes float32 [R, 4] all over an image, in three sizes; also one beyond its edge, and an
    empty one."""
    boxes = [(-0.1, 0.4, 0.3, 1.2), (0.5, 0.5, 0.5, 0.5)]
    for cells in WINDOWS:
        side = 1 / cells
        at = [i * side / 2 for i in range(2 * cells - 1)]  # each overlaps the next by half
        boxes += [(x, y, x + side, y + side) for x in at for y in at]
    sides = np.array([width, height, width, height], dtype=np.float32)
    return np.array(boxes, dtype=np.float32) * sides


def to_feeds(manifest: PackageManifest, images: Sequence[Image], **settings: float | bool) -> Feeds:
    """``images`` uint8 [H, W, 3] as one batch, with a detector's settings: the manifest's defaults
    where ``settings`` names no others."""
    inputs = [tensor.name for tensor in manifest.inputs]
    if manifest.task == "detection":
        return feeds_of(inputs, stack(images), **{**manifest.defaults.model_dump(), **settings})
    return feeds_of(inputs, stack(images))
