"""BentoML with `batchable=True`: `bentoml serve app:Photos`.

As in its guide to adaptive batching: the API takes a list of images and returns a list of answers,
and BentoML puts requests together. One worker runs one batch at a time, on every processor.
"""

from pathlib import Path
from typing import Any

import bentoml
from handler import PhotoModel


@bentoml.service
class Photos:
    def __init__(self) -> None:
        self.model = PhotoModel.of_environment()

    @bentoml.api(batchable=True, max_batch_size=16)
    def predict(self, images: list[Path]) -> list[dict[str, Any]]:
        return self.model.run([self.model.prepare(path.read_bytes()) for path in images])
