"""`python -m benchmarks.sdk_overhead`: what the Python SDK costs over plain httpx.

`Client.detect` of a 60 kB photo against `httpx.Client.post(...).json()`, and against httpx with a
prepared request, each over one keep-alive connection. The server is a process that reads the body
and always sends the same answer of twenty detections, so that nearly all the time is the client's.
They take turns, so that drift of the machine affects all of them alike. Printed are medians, and
the median of each turn's difference.
"""

import asyncio
import json
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import httpx
from boxport_client import Client

ROUNDS = 3000
WARM_UP = 300
PHOTO = random.Random(0).randbytes(60_000)
HEADERS = {"content-type": "application/octet-stream"}
DETECTIONS = 20


def golden_reply() -> bytes:
    """A whole HTTP reply with an answer in the service's form."""
    detection = {"box": [3.467, 0.0, 409.423, 300.0], "score": 0.879304, "label": "cat"}
    answer = {
        "model": {"name": "efficientdet_lite0_voc", "version": "1", "sha256": "29a4b0af" * 8},
        "request_id": "6e7ebdfa45d54d779775021c63c4a718",
        "results": [
            {
                "width": 451,
                "height": 300,
                "detections": [{**detection, "label_id": 8}] * DETECTIONS,
            }
        ],
        "timing_ms": {"decode": 5.312, "queue": 0.05, "inference": 44.006, "total": 49.719},
    }
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Replying(asyncio.Protocol):
    """Replies to each request once its body has arrived."""

    reply = golden_reply()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._got = transport, b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, gap, body = self._got.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self._got = body[length:]
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(self.reply)


def serve(pipe: Connection) -> None:
    """Send the port, then serve for ever."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Replying, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def prepared(http: httpx.Client, url: str) -> Callable[[], object]:
    """httpx at its least: the URL is parsed beforehand, and no client defaults are merged."""
    address = httpx.URL(f"{url}/v1/detect")

    def ask() -> object:
        request = httpx.Request("POST", address, content=PHOTO, headers=HEADERS)
        return http.send(request).json()

    return ask


def take_turns(
    asks: dict[str, Callable[[], object]], clock: Callable[[], int]
) -> dict[str, list[float]]:
    """Milliseconds of each, over `ROUNDS` turns after the first `WARM_UP`."""
    spent: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(WARM_UP + ROUNDS):
        for name, ask in asks.items():
            begun = clock()
            ask()
            if turn >= WARM_UP:
                spent[name].append((clock() - begun) / 1e6)
    return spent


def main() -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sender,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{receiver.recv()}"
    with httpx.Client(base_url=url) as http, Client(url) as client:
        asks: dict[str, Callable[[], object]] = {
            "httpx": lambda: http.post("/v1/detect", content=PHOTO, headers=HEADERS).json(),
            "httpx, prepared": prepared(http, url),
            "boxport_client": lambda: client.detect(PHOTO),
        }
        for what, clock in (("CPU", time.thread_time_ns), ("wall", time.perf_counter_ns)):
            spent = take_turns(asks, clock)
            print(f"{what}, median of {ROUNDS}:")
            own = spent.pop("boxport_client")
            print(f"  boxport_client   {statistics.median(own):.3f} ms")
            for name, milliseconds in spent.items():
                more = [b - a for a, b in zip(milliseconds, own, strict=True)]
                print(
                    f"  {name:16} {statistics.median(milliseconds):.3f} ms;"
                    f" the SDK takes {statistics.median(more):+.3f} ms"
                )
    server.terminate()


if __name__ == "__main__":
    main()
