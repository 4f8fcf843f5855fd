"""A minimal baseline server: about the least that an answer over HTTP takes in Python.

    PACKAGE=DIR python -m uvicorn benchmarks.minimal_app:app

uvicorn, and one thread that decodes, runs and answers. Any body is read as a photo; there is no
choice of models, no limit, no batching, no metrics, no error message. The time that Boxport takes
beyond it is what these cost.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from benchmarks.upper_bound import predictor_of, query_of
from service.cpus import available_cpus
from service.imaging.files import MAX_PIXELS
from service.imaging.images import open_image, prepare
from service.package import open_package
from service.providers import CPU
from service.runtime.sessions import Device

Message = MutableMapping[str, Any]

_predictor = predictor_of(
    open_package(Path(os.environ["PACKAGE"]), device=Device((CPU,), 1, available_cpus()))
)
_query = query_of(_predictor)
_thread = ThreadPoolExecutor(1)


def answer(body: bytes) -> bytes:
    with open_image(body, MAX_PIXELS) as image:
        prepared = prepare(image, _predictor.manifest.input)
    return orjson.dumps({_predictor.rows_name: _predictor.run([prepared], [_query], alone=True)[0]})


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """The ASGI application; a request without a body asks only whether it is ready."""
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
