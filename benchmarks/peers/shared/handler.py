"""The work of every peer on a photo, so that they differ only in how they serve it.

Pillow decodes it and applies its EXIF orientation, resizes it as the model's manifest says, and
ONNX Runtime runs the package's graph with the manifest's thresholds; the answer has the rows that
Boxport gives. It needs only numpy, Pillow and ONNX Runtime.

Each peer reads two environment variables: PACKAGE, the folder of the model package, and THREADS,
the threads of each run; 0 leaves the number to ONNX Runtime, which uses all processors.
"""

import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Prepared:
    """``pixels``: uint8 [H, W, 3] for the graph. scale: (x, y), input pixels for a photo's pixel.
    size: (width, height) of the photo."""

    pixels: np.ndarray
    scale: tuple[float, float]
    size: tuple[int, int]


class PhotoModel:
    """A model package, opened to answer photos."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.session = self.open_session(folder / "model.onnx", threads)

    @classmethod
    def of_environment(cls) -> "PhotoModel":
        return cls(Path(os.environ["PACKAGE"]), int(os.environ.get("THREADS", "0")))

    def open_session(self, graph: Path, threads: int) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])

    def prepare(self, content: bytes) -> Prepared:
        """Decode and resize the image file ``content``."""
        photo = ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("RGB")
        spec = self.manifest["input"]
        return (_centre_crop if spec["resize"] == "centre_crop" else _letterbox)(photo, spec)

    def run(self, batch: list[Prepared]) -> list[dict[str, Any]]:
        """The answers to ``batch``, which runs as one."""
        images = np.stack([prepared.pixels for prepared in batch])
        if self.manifest["task"] == "classification":
            return [self._to_classes(row) for row in self.compute({"images": images})[0]]
        defaults = self.manifest["defaults"]
        outputs = self.compute(
            {
                "images": images,
                "score_threshold": np.float32(defaults["score_threshold"]),
                "iou_threshold": np.float32(defaults["iou_threshold"]),
                "max_detections": np.int64(defaults["max_detections"]),
                "class_agnostic": np.bool_(False),
            }
        )
        return [
            self._to_detections(prepared, *row)
            for prepared, *row in zip(batch, *outputs, strict=True)
        ]

    def compute(self, feeds: dict[str, Any]) -> list[np.ndarray]:
        """The graph's outputs, in its order."""
        return self.session.run(None, {name: np.asarray(value) for name, value in feeds.items()})

    def answer(self, content: bytes) -> dict[str, Any]:
        return self.run([self.prepare(content)])[0]

    def _to_detections(
        self,
        prepared: Prepared,
        number: np.int64,
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
    ) -> dict[str, Any]:
        names = self.manifest["labels"]
        xyxy = (boxes[:number] / np.tile(prepared.scale, 2)).clip(0, np.tile(prepared.size, 2))
        rows = zip(
            xyxy.round(3).tolist(), scores[:number].tolist(), labels[:number].tolist(), strict=True
        )
        return {
            "detections": [
                {"box": box, "score": round(score, 6), "label": names[label]["name"]}
                for box, score, label in rows
            ]
        }

    def _to_classes(self, probabilities: np.ndarray) -> dict[str, Any]:
        names = self.manifest["labels"]
        best = np.argsort(-probabilities)[: self.manifest["defaults"]["top_k"]].tolist()
        return {
            "classifications": [
                {"label": names[i]["name"], "score": round(float(probabilities[i]), 6)}
                for i in best
            ]
        }


def _letterbox(photo: Image.Image, spec: dict[str, Any]) -> Prepared:
    scale = min(spec["width"] / photo.width, spec["height"] / photo.height)
    sides = (int(photo.width * scale + 1e-6), int(photo.height * scale + 1e-6))
    canvas = Image.new("RGB", (spec["width"], spec["height"]), tuple(spec["fill"]))
    canvas.paste(photo.resize(sides, METHODS[spec["interpolation"]]))
    scales = (sides[0] / photo.width, sides[1] / photo.height)
    return Prepared(np.asarray(canvas), scales, photo.size)


def _centre_crop(photo: Image.Image, spec: dict[str, Any]) -> Prepared:
    shorter = spec["shorter_side"]
    sides = tuple(int(shorter * side / min(photo.size)) for side in photo.size)
    left, top = round((sides[0] - spec["width"]) / 2), round((sides[1] - spec["height"]) / 2)
    resized = photo.resize(sides, METHODS[spec["interpolation"]])
    crop = resized.crop((left, top, left + spec["width"], top + spec["height"]))
    return Prepared(np.asarray(crop), (1.0, 1.0), photo.size)
