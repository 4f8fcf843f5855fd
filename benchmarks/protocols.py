"""`python -m benchmarks.protocols`: gRPC beside HTTP.

One service answers both, with the sample photos, to Triton's own client of each with asyncio, which
runs as a process of its own. The two take turns, so that drift of the machine affects both alike.
Printed are medians: photos a second, and the processor time of the service for each, with the
ratios of gRPC to HTTP in the same round. Then what the port itself takes: the memory (PSS) of a
service that has one and has answered over it, less that of one that has none.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.boxport import boxport
from benchmarks.packages import ROOT
from benchmarks.server import Server, free_ports

PHOTOS = ROOT / "docs" / "photos"
STORE = ROOT / "model_store"
MODEL = "efficientnet_lite0_imagenet"  # the fastest: a photo's way weighs most
PROTOCOLS = ("http", "grpc")
WARM_UP_SECONDS = 1.0
MEMORY_SECONDS = 3.0


def triton_client(protocol: str, address: str) -> tuple[Any, Callable[[bytes], Awaitable[object]]]:
    """A client, and what asks it of a photo."""
    if protocol == "grpc":
        import tritonclient.grpc.aio as triton
        from tritonclient.grpc import InferInput
    else:
        import tritonclient.http.aio as triton
        from tritonclient.http import InferInput
    client = triton.InferenceServerClient(address)

    async def ask(photo: bytes) -> object:
        tensor = InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([photo], dtype=object))
        return (await client.infer(MODEL, [tensor])).as_numpy("scores")

    return client, ask


async def load(protocol: str, address: str, seconds: float, connections: int) -> int:
    """Photos answered in ``seconds``, by as many callers as ``connections``."""
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]
    client, ask = triton_client(protocol, address)
    answered = 0
    ends = float("inf")

    async def call(first: int) -> None:
        nonlocal answered
        number = first
        while time.monotonic() < ends:
            await ask(photos[number % len(photos)])
            number += 1
            answered += 1

    async with client:
        ends = time.monotonic() + WARM_UP_SECONDS
        await asyncio.gather(*map(call, range(connections)))
        answered, ends = 0, time.monotonic() + seconds
        await asyncio.gather(*map(call, range(connections)))
    return answered


def run_load(protocol: str, address: str, seconds: float, connections: int) -> int:
    """The same, by a process of its own."""
    words = ["--load", protocol, address, "--seconds", str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, *words, "--connections", str(connections)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def turn(
    server: Server, protocol: str, address: str, seconds: float, connections: int
) -> tuple[float, float]:
    """Photos a second, and milliseconds of the service's processor time for each."""
    before = server.usage().cpu_seconds
    answered = run_load(protocol, address, seconds, connections)
    spent = server.usage().cpu_seconds - before
    share = seconds / (seconds + WARM_UP_SECONDS)  # the load is as high while it warms up
    return answered / seconds, 1000 * spent * share / answered


def measure_memory(connections: int) -> float:
    """Megabytes that the port takes."""
    taken = []
    for protocol in PROTOCOLS:
        with tempfile.TemporaryDirectory() as folder:
            (port,) = free_ports(1)
            settings = {"grpc_port": port} if protocol == "grpc" else {}
            with boxport(STORE, Path(folder), **settings) as server:
                address = f"127.0.0.1:{settings.get('grpc_port', server.port)}"
                run_load(protocol, address, MEMORY_SECONDS, connections)
                taken.append(server.usage().pss / 1e6)
    return taken[1] - taken[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--load", nargs=2, metavar=("PROTOCOL", "ADDRESS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.load:
        print(asyncio.run(load(*asked.load, asked.seconds, asked.connections)))
        return
    rounds: list[dict[str, tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        with boxport(STORE, Path(folder), grpc_port=port) as server:
            addresses = {"http": f"127.0.0.1:{server.port}", "grpc": f"127.0.0.1:{port}"}
            for number in range(asked.rounds):
                order = PROTOCOLS if number % 2 else PROTOCOLS[::-1]
                rounds.append(
                    {
                        name: turn(server, name, addresses[name], asked.seconds, asked.connections)
                        for name in order
                    }
                )
    for name in PROTOCOLS:
        speed, spent = (statistics.median(one[name][i] for one in rounds) for i in range(2))
        print(f"{name}: {speed:.1f} photos/s, {spent:.2f} ms of processors a photo")
    for i, what in enumerate(("throughput", "processor time a photo")):
        ratio = statistics.median(one["grpc"][i] / one["http"][i] for one in rounds)
        print(f"{what}, gRPC / HTTP: {ratio:.3f} (median of {len(rounds)} interleaved rounds)")
    print(f"memory of the port: {measure_memory(asked.connections):.1f} MB")


if __name__ == "__main__":
    main()
