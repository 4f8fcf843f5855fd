"""LitServe: a process for each processor, with a session of one thread in each.

``workers_per_device`` and ``threads`` are as its documentation advises for CPUs. The body is read
as bytes by the type of ``decode_request``'s argument, which avoids base64.
"""

import os
from typing import Annotated, Any

import litserve
from fastapi import Body
from handler import PhotoModel, Prepared

Photo = Annotated[bytes, Body(media_type="image/jpeg")]


class PhotoApi(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = PhotoModel.of_environment()

    def decode_request(self, request: Photo) -> Prepared:
        return self.model.prepare(request)

    def predict(self, prepared: Prepared) -> dict[str, Any]:
        return self.model.run([prepared])[0]

    def encode_response(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


if __name__ == "__main__":
    server = litserve.LitServer(
        PhotoApi(), accelerator="cpu", workers_per_device=len(os.sched_getaffinity(0))
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
