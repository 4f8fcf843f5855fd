"""TorchServe's handler: one class with `initialize`, and `handle` of a batch of requests.

With WEIGHTS in the environment PyTorch itself computes the network; else ONNX Runtime does, as
everywhere else. TorchServe starts a process for each worker.
"""

import os
from typing import Any

import handler


class PhotoHandler:
    def initialize(self, context: Any) -> None:
        if "WEIGHTS" in os.environ:
            import eager  # needs PyTorch, and the networks of this repository

            self.model = eager.EagerModel.of_environment()
        else:
            self.model = handler.PhotoModel.of_environment()

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        contents = [request.get("data") or request["body"] for request in data]
        return self.model.run([self.model.prepare(bytes(content)) for content in contents])
