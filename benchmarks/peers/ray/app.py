"""Ray Serve: a replica for each processor, with a session of one thread in each.

The deployment reads the raw body, as in Ray Serve's guide to HTTP; the work, which blocks, goes to
a thread, so that the replica goes on reading.
"""

import asyncio
import os
import time
from typing import Any

from handler import PhotoModel
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=len(os.sched_getaffinity(0)),
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=16,
)
class Photos:
    def __init__(self) -> None:
        self.model = PhotoModel.of_environment()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await asyncio.to_thread(self.model.answer, await request.body())


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Photos.bind(), route_prefix="/predict")
    while True:
        time.sleep(1)
