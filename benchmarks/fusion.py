"""`python -m benchmarks.fusion`: the cost of a BiFPN's ways of weighing features.

The fast normalised fusion against the softmax fusion and the plain sum (arXiv 1911.09070, section
3.3), in EfficientDet-D0 at 512 pixels on one thread. The three take turns, so that drift of the
machine affects all of them alike. Printed are medians, and ratios to the fast fusion's.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import onnxruntime as ort
import torch
from rich.console import Console
from rich.progress import track

from models.efficientdet import SETTINGS, EfficientDet

KINDS = ("fast", "softmax", "sum")
SIZE = 512
ROUNDS = 30


def networks() -> dict[str, torch.nn.Module]:
    base = SETTINGS["tf_efficientdet_d0"]
    return {kind: EfficientDet(replace(base, fusion=kind), 90).eval() for kind in KINDS}


def onnx_run(network: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    program = torch.onnx.export(network, (images,), dynamo=True, verbose=False, opset_version=20)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(program.model_proto.SerializeToString(), options)
    feeds = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, feeds)


def time_in_turns(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each, over `ROUNDS` turns after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in track(range(ROUNDS + 1), "turns", console=Console(stderr=True)):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    images = torch.randn(1, 3, SIZE, SIZE)
    built = networks()
    features = built["fast"].backbone(images)
    measured = {
        "BiFPN, PyTorch": {
            kind: lambda pyramid=network.pyramid: pyramid(features)
            for kind, network in built.items()
        },
        "whole network, PyTorch": {
            kind: lambda network=network: network(images) for kind, network in built.items()
        },
        "whole network, ONNX Runtime": {
            kind: onnx_run(network, images) for kind, network in built.items()
        },
    }
    print("| what | " + " | ".join(f"{kind}, ms" for kind in KINDS) + " | softmax / fast |")
    print("|---|---|---|---|---|")
    for what, runs in measured.items():
        times = time_in_turns(runs)
        cells = " | ".join(f"{times[kind] * 1000:.1f}" for kind in KINDS)
        print(f"| {what} | {cells} | {times['softmax'] / times['fast']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
