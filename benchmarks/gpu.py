"""`python -m benchmarks.gpu`: ONNX Runtime beside PyTorch on a GPU, with one network after another.

Weights are random: a network's cost does not depend on them, except that NMS suppresses more than
on photos. PyTorch runs the network alone, ONNX Runtime the whole graph, NMS included. The ways take
turns, and medians are compared. At the end the shipped detector is measured over HTTP, by the
number of threads that decode. `--device cpu` shows that the script runs where there is no GPU.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import typer
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from benchmarks.boxport import boxport, requests_of
from benchmarks.drive import drive
from benchmarks.packages import MODELS, make_store
from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.onnx.trace import describe, to_onnx
from export.precision.half import to_half
from models.variants import Variant, find_variant, letterbox
from service.providers import PROVIDERS
from service.runtime.bound_session import BoundSession

NETWORKS = "efficientdet_lite0,tf_efficientdet_d0,retinanet_resnet50_fpn"
BATCHES = "1,8,32"
CLASSES = 90
PHOTOS = Path("docs/photos")
SIDE = 640  # of the input of a network whose inputs vary in size
WARM_UP, ROUNDS = 5, 5
DECODERS = (2, 4, 8, 16)

Array = np.ndarray[Any, Any]
Run = Callable[[], object]
console = Console(highlight=False, width=120)


@dataclass(frozen=True)
class Bench:
    """One network on ``device``, "cuda" or "cpu", run on real photos."""

    variant: Variant
    device: str
    compiled: bool = True

    def photos(self, batch: int) -> Array:
        """uint8 [batch, H, W, 3]."""
        spec = self.variant.input
        if spec.varies:
            spec = letterbox(SIDE, spec.mean, spec.std)
        pixels = [photo.pixels for photo in read_photos(PHOTOS, spec)]
        return np.stack([pixels[i % len(pixels)] for i in range(batch)])

    def torch_ways(self, network: nn.Module) -> Iterator[tuple[str, Callable[[Array], Run]]]:
        network = network.to(self.device).to(memory_format=torch.channels_last)
        modules = {"eager": network}
        if self.compiled:
            modules["compile"] = torch.compile(network)
        for name, module in modules.items():
            for dtype in (torch.float32, torch.float16):
                label = f"PyTorch {name}, {'fp16' if dtype is torch.float16 else 'fp32'}"
                yield label, lambda photos, m=module, d=dtype: self._torch_run(m, photos, d)

    def _torch_run(self, module: nn.Module, photos: Array, dtype: torch.dtype) -> Run:
        pinned = torch.from_numpy(photos)
        if self.device == "cuda":
            pinned = pinned.pin_memory()

        @torch.inference_mode()
        def run() -> None:
            pixels = pinned.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
            with torch.autocast(self.device, dtype, enabled=dtype is not torch.float32):
                module(pixels.float() / 255)
            if self.device == "cuda":
                torch.cuda.synchronize()

        return run

    def onnx_ways(self, model: onnx.ModelProto) -> Iterator[tuple[str, Callable[[Array], Run]]]:
        for precision, graph in (("fp32", model), ("fp16", to_half(model))):
            session = self.session(graph)
            plain = f"ONNX Runtime, {precision}"
            yield plain, lambda photos, s=session: self._onnx_run(s.run, photos)
            bound = BoundSession(session, describe(graph.graph.output), self.device)
            yield (
                f"{plain}, buffers that stay",
                lambda photos, b=bound: self._onnx_run(lambda _, feeds: b.run(feeds), photos),
            )

    def session(self, model: onnx.ModelProto, profile: str = "") -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        row = PROVIDERS[self.device]
        session = ort.InferenceSession(
            model.SerializeToString(), options, [(row.ort_name, dict(row.options))]
        )
        if row.ort_name not in session.get_providers():
            raise SystemExit(f"{self.device}: this ONNX Runtime cannot start {row.ort_name}")
        return session

    def _onnx_run(self, run: Callable[[None, dict[str, Array]], object], photos: Array) -> Run:
        feeds = {"images": photos, **THRESHOLDS}
        return lambda: run(None, feeds)

    def copies(self, model: onnx.ModelProto, photos: Array) -> float:
        """The share of ONNX Runtime's time, 0 to 1, spent on copies to and from the device."""
        with tempfile.TemporaryDirectory() as folder:
            session = self.session(model, f"{folder}/run")
            run = self._onnx_run(session.run, photos)
            for _ in range(2 * WARM_UP):
                run()
            events = json.loads(Path(session.end_profiling()).read_text())
        kernels = [
            e for e in events if e.get("cat") == "Node" and e["name"].endswith("kernel_time")
        ]
        copied = sum(e["dur"] for e in kernels if "Memcpy" in e["args"]["op_name"])
        return copied / max(sum(e["dur"] for e in kernels), 1)


THRESHOLDS: Mapping[str, Array] = {
    "score_threshold": np.array(0.3, np.float32),
    "iou_threshold": np.array(0.5, np.float32),
    "max_detections": np.array(100),
    "class_agnostic": np.array(False),
}


def per_second(ways: Mapping[str, Run], batch: int, seconds: float) -> dict[str, float]:
    """Photos a second of each way: medians over rounds in which all take turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        for _ in range(WARM_UP):
            run()
    for _ in range(ROUNDS):
        for name, run in ways.items():
            began, runs = time.perf_counter(), 0
            while (taken := time.perf_counter() - began) < seconds / ROUNDS:
                run()
                runs += 1
            found[name].append(runs * batch / taken)
    return {name: statistics.median(values) for name, values in found.items()}


def compare(name: str, bench: Bench, batches: Sequence[int], seconds: float) -> None:
    """Print photos a second of each way, and their ratio to PyTorch eager in float32."""
    network = bench.variant.build(CLASSES).eval()
    model = to_onnx(bench.variant, build_graph(network, bench.variant.input))
    makers = dict((*bench.onnx_ways(model), *bench.torch_ways(network)))
    table = Table("way", *(f"batch {batch}" for batch in batches), title=name, box=MARKDOWN)
    speeds = {}
    for batch in track(batches, name, console=Console(stderr=True)):
        photos = bench.photos(batch)
        speeds[batch] = per_second({n: make(photos) for n, make in makers.items()}, batch, seconds)
    for way in makers:
        cells = (
            f"{speeds[b][way]:.0f} ({speeds[b][way] / speeds[b]['PyTorch eager, fp32']:.2f})"
            for b in batches
        )
        table.add_row(way, *cells)
    console.print(table)
    shares = (f"{bench.copies(model, bench.photos(batch)):.1%}" for batch in batches)
    console.print(f"copies, of the graph's time: {', '.join(shares)}\n")


def through_http(device: str, seconds: float) -> None:
    """Print photos a second of the shipped detector, by the number of threads that decode."""
    model = MODELS[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store([model.package], folder / "store")
        for decoders in DECODERS:
            settings = {"execution_providers": device, "decode_threads": decoders}
            with boxport(store, folder, **settings) as server:
                figures = drive(
                    server, requests_of(PHOTOS, model.path), folder, seconds, connections=64
                )
            console.print(
                f"{model.title} by HTTP, {decoders} threads decode:"
                f" {figures['per_second']:.0f} photos/s, p99 {figures['p99_ms']:.0f} ms"
            )


def main(
    networks: Annotated[str, typer.Option(help="Names of variants, with commas.")] = NETWORKS,
    batches: Annotated[str, typer.Option(help="Images at once, with commas.")] = BATCHES,
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script.")] = "cuda",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each way at each batch.")] = 5.0,
    compiled: Annotated[
        bool,
        typer.Option("--compile/--no-compile", help="With torch.compile, which takes minutes."),
    ] = True,
    http: Annotated[bool, typer.Option(help="Measure the shipped detector over HTTP too.")] = True,
) -> None:
    """Compare ONNX Runtime with PyTorch, eager and compiled, on a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("cuda: PyTorch sees no GPU; --device cpu tries the script without one")
    for name in networks.split(","):
        bench = Bench(find_variant(name), device, compiled)
        compare(name, bench, [int(batch) for batch in batches.split(",")], seconds)
    if http:
        through_http(device, seconds)


if __name__ == "__main__":
    typer.run(main)
