"""LitServe with a raw YOLOX, its pre-processing and decoding in NumPy as YOLOX's own demo has them.

Environment: MODEL, the ONNX file; THREADS of each run; PORT.
"""

import os
from io import BytesIO
from typing import Annotated, Any

import litserve
import numpy as np
import onnxruntime as ort
from fastapi import Body
from PIL import Image, ImageOps

Photo = Annotated[bytes, Body(media_type="image/jpeg")]
STRIDES, GREY = (8, 16, 32), 114
SCORE, IOU = 0.3, 0.5


class Yolox(litserve.LitAPI):
    def setup(self, device: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ["THREADS"])
        self.session = ort.InferenceSession(os.environ["MODEL"], options, ["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.height, self.width = self.session.get_inputs()[0].shape[2:]
        grids, steps = [], []
        for stride in STRIDES:
            x, y = np.meshgrid(np.arange(self.width // stride), np.arange(self.height // stride))
            grids.append(np.stack((x, y), 2).reshape(-1, 2))
            steps.append(np.full((len(grids[-1]), 1), stride))
        self.grid, self.stride = np.concatenate(grids), np.concatenate(steps)

    def decode_request(self, request: Photo) -> tuple[np.ndarray, float]:
        photo = ImageOps.exif_transpose(Image.open(BytesIO(request))).convert("RGB")
        scale = min(self.height / photo.height, self.width / photo.width)
        sides = int(photo.width * scale), int(photo.height * scale)
        canvas = np.full((self.height, self.width, 3), GREY, np.uint8)
        canvas[: sides[1], : sides[0]] = photo.resize(sides, Image.Resampling.BILINEAR)
        return np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32), scale

    def predict(self, prepared: tuple[np.ndarray, float]) -> list[dict[str, Any]]:
        pixels, scale = prepared
        (rows,) = self.session.run(None, {self.input: pixels[None]})[0]
        scores = rows[:, 4:5] * rows[:, 5:]
        centre = (rows[:, :2] + self.grid) * self.stride
        half = np.exp(rows[:, 2:4]) * self.stride / 2
        boxes = np.concatenate((centre - half, centre + half), 1) / scale
        found = []
        for label in np.flatnonzero(scores.max(0) > SCORE):
            chosen = np.flatnonzero(scores[:, label] > SCORE)
            for i in chosen[suppressed(boxes[chosen], scores[chosen, label])]:
                found.append(
                    {
                        "box": boxes[i].round(3).tolist(),
                        "score": float(scores[i, label]),
                        "label": int(label),
                    }
                )
        return found

    def encode_response(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        return {"detections": found}


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Places of those that greedy suppression keeps."""
    order, kept = scores.argsort()[::-1], []
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        both = (high - low).clip(0).prod(1)
        order = rest[both / (areas[best] + areas[rest] - both) <= IOU]
    return kept


if __name__ == "__main__":
    server = litserve.LitServer(
        Yolox(), accelerator="cpu", workers_per_device=len(os.sched_getaffinity(0))
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
