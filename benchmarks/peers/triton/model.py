"""An instance of Triton's Python backend: photos' bytes in, answers as JSON text out."""

import json
import os
import sys
from typing import Any

sys.path[:0] = os.environ["MODULES"].split(os.pathsep)  # Triton sets PYTHONPATH to its own

import numpy as np  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402
from handler import PhotoModel  # noqa: E402


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.model = PhotoModel.of_environment()

    def execute(self, requests: list[Any]) -> list[Any]:
        """What the batcher has put together runs as one."""
        photos = [
            triton.get_input_tensor_by_name(request, "photo").as_numpy() for request in requests
        ]
        answers = iter(
            self.model.run([self.model.prepare(p) for each in photos for p in each.flat])
        )
        return [_response([next(answers) for _ in each.flat]) for each in photos]


def _response(answers: list[dict[str, Any]]) -> Any:
    texts = np.array([[json.dumps(answer)] for answer in answers], dtype=np.object_)
    return triton.InferenceResponse([triton.Tensor("answer", texts)])
