"""`python -m benchmarks.openvino_loop PACKAGE`: Boxport in bfloat16 beside bare loops of OpenVINO.

The loops stand in for OpenVINO Model Server, whose program is in no package index: the same
kernels, its throughput hint and as many requests in flight as OpenVINO asks for, run without HTTP.
One has its input ready; in the other a thread for each processor decodes photos as the service
does. In turns, so that drift of the machine affects all alike; printed are medians in photos a
second, and the medians of each turn's ratios.
"""

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import openvino
import typer

from benchmarks.adopted import answered
from benchmarks.boxport import boxport, requests_of
from benchmarks.packages import make_store
from service.cpus import available_cpus
from service.imaging.files import read_photo
from service.manifest import GRAPH_FILE, MANIFEST_FILE, ModelManifest, read_manifest

OPTIONS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}


class Loop:
    """The graph of a package, compiled for throughput, and a queue of requests of it."""

    def __init__(self, package: Path) -> None:
        self.manifest: ModelManifest = read_manifest(package / MANIFEST_FILE)
        core = openvino.Core()
        model = core.read_model(package / GRAPH_FILE)
        spec = self.manifest.input
        model.reshape({"images": [1, spec.height, spec.width, 3]})
        self._queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", OPTIONS))
        self._more = {
            name: np.array(value)
            for name, value in self.manifest.defaults.model_dump().items()
            if name in {tensor.name for tensor in self.manifest.inputs}
        } | ({"class_agnostic": np.array(False)} if self.manifest.task == "detection" else {})

    def ready(self, seconds: float) -> float:
        """Runs a second of an input that is there."""
        spec = self.manifest.input
        feeds = self._feeds(np.zeros((spec.height, spec.width, 3), np.uint8))
        count, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            self._queue.start_async(feeds)
            count += 1
        self._queue.wait_all()
        return count / (time.perf_counter() - began)

    def decoding(self, photos: Sequence[Path], seconds: float) -> float:
        """Photos a second, each decoded first."""
        turns, lock, counts = itertools.cycle(photos), threading.Lock(), itertools.count()

        def feed() -> None:
            while time.perf_counter() < began + seconds:
                feeds = self._feeds(read_photo(next(turns), self.manifest.input).pixels)
                with lock:  # a queue takes one at a time
                    self._queue.start_async(feeds)
                    next(counts)

        began = time.perf_counter()
        threads = [threading.Thread(target=feed) for _ in range(available_cpus())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._queue.wait_all()
        return next(counts) / (time.perf_counter() - began)

    def _feeds(self, pixels: "np.ndarray[Any, Any]") -> dict[str, Any]:
        return {"images": pixels[None], **self._more}


def main(
    package: Annotated[Path, typer.Argument(help="Folder STORE/NAME/VERSION.")],
    photos: Annotated[Path, typer.Option(help="Folder of JPEG photos.")],
    seconds: Annotated[float, typer.Option(help="Of each turn.")] = 5,
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 5,
) -> None:
    """Compare a package in the service, by OpenVINO in bfloat16, with OpenVINO alone."""
    loop = Loop(package)
    route = "classify" if loop.manifest.task == "classification" else "detect"
    with tempfile.TemporaryDirectory() as temporary:
        folder, files = Path(temporary), sorted(photos.glob("*.jpg"))
        store = make_store([package], folder / "store")
        with boxport(store, folder, runtime="openvino", precision="bf16") as server:
            requests = requests_of(photos, f"/v1/{route}")
            ways: dict[str, Callable[[], float]] = {
                "Boxport": lambda: answered(server, requests, seconds, folder),
                "loop with its input ready": lambda: loop.ready(seconds),
                "loop that decodes": lambda: loop.decoding(files, seconds),
            }
            found: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(rounds + 1):  # the first warms up
                for way, run in ways.items():
                    speed = run()
                    if turn:
                        found[way].append(speed)
    for way, speeds in found.items():
        ratio = statistics.median(a / b for a, b in zip(found["Boxport"], speeds, strict=True))
        print(f"{way}: {statistics.median(speeds):.1f} photos/s, Boxport / {way} {ratio:.3f}")


if __name__ == "__main__":
    typer.run(main)
