"""Close to the least that an answer over HTTP takes in Python: uvicorn, a thread, a photo's answer.

    PACKAGE=DIR python -m uvicorn benchmarks.bare_app:app

It reads any body as a photo, and has none of what makes a service: no models to choose from, no
bounds, no batches, no metrics, no errors in words. What Boxport takes beyond it is what those cost.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from benchmarks.limit import query_of, runner_of
from export.photos import MAX_PIXELS
from service.cpus import available_cpus
from service.imaging.images import open_image
from service.imaging.photo import prepare
from service.inference.task import Job
from service.package import open_package
from service.providers import CPU
from service.runtime.sessions import Device

Message = MutableMapping[str, Any]

_runner = runner_of(
    open_package(Path(os.environ["PACKAGE"]), device=Device((CPU,), 1, available_cpus()))
)
_query = query_of(_runner)
_thread = ThreadPoolExecutor(1)


def answer(body: bytes) -> bytes:
    with open_image(body, MAX_PIXELS) as image:
        job = Job(prepare(image, _runner.manifest.input), _query)
    return orjson.dumps({_runner.rows_name: _runner.run([job], alone=True)[0]})


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """An ASGI application; a body of nothing is a question whether it is ready."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    reply = b"{}"
    if body:
        reply = await asyncio.get_running_loop().run_in_executor(_thread, answer, body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply})
