"""`python -m benchmarks.adopted PACKAGE FILE.onnx`: what an adopted file costs to serve.

In turns, so that drift of the machine affects all alike: Boxport with the package at 16
connections; the untouched file in a bare loop of ONNX Runtime, on a session of one thread for each
processor, with an input that is ready, and once more with each photo decoded and resized before it,
though not suppressed after; and, with --yolox, LitServe with the file and YOLOX's own decoding in
NumPy. Printed are medians in photos a second, and the medians of each turn's ratios.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer

from benchmarks.boxport import boxport, requests_of
from benchmarks.load import Plan, Request
from benchmarks.load_process import run_load
from benchmarks.packages import ROOT
from benchmarks.peers.table import PEERS
from benchmarks.peers.venvs import make_venv
from benchmarks.server import Server, running
from service.cpus import available_cpus
from service.imaging.files import read_photo
from service.manifest import MANIFEST_FILE, read_manifest

CONNECTIONS = 16
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
PHOTOS = ROOT / "docs" / "photos"


def bare_loop(file: Path, seconds: float, prepare: Callable[[], object] = lambda: None) -> float:
    """Runs a second of ``file`` alone, of whose answers nobody reads. ``prepare``: called before
    each run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    counts: list[int] = []
    sessions = [
        ort.InferenceSession(file, options, ["CPUExecutionProvider"])
        for _ in range(available_cpus())
    ]
    feeds = {
        tensor.name: np.zeros(
            [size if isinstance(size, int) else 1 for size in tensor.shape], DTYPES[tensor.type]
        )
        for tensor in sessions[0].get_inputs()
    }

    def loop(session: ort.InferenceSession, end: float) -> None:
        count = 0
        while time.perf_counter() < end:
            prepare()
            session.run(None, feeds)
            count += 1
        counts.append(count)

    for session in sessions:
        session.run(None, feeds)
    began = time.perf_counter()
    threads = [threading.Thread(target=loop, args=(s, began + seconds)) for s in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def answered(server: Server, requests: list[Request], seconds: float, folder: Path) -> float:
    """Photos a second that a server answers."""
    outcomes = run_load(Plan(server.port, requests, seconds, connections=CONNECTIONS), folder)
    good = [outcome for outcome in outcomes if outcome.status == 200]
    return len(good) / max(outcome.ended for outcome in outcomes)


def main(
    package: Annotated[Path, typer.Argument(help="Folder STORE/NAME/VERSION.")],
    file: Annotated[Path, typer.Argument(help="The ONNX file that it was adopted from.")],
    photos: Annotated[Path, typer.Option(help="Folder of JPEG photos.")] = PHOTOS,
    yolox: Annotated[bool, typer.Option("--yolox", help="LitServe too; of a raw YOLOX.")] = False,
    seconds: Annotated[float, typer.Option(help="Of each turn.")] = 10,
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 7,
) -> None:
    """Compare an adopted package in the service with the file that it was made of."""
    name = package.parent.name
    path = f"/v1/detect?model={name}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = folder / "store"
        (store / name).mkdir(parents=True)
        (store / name / package.name).symlink_to(package.resolve())
        server = stack.enter_context(boxport(store, folder))
        requests = requests_of(photos, path)
        decode = partial(read_photo, spec=read_manifest(package / MANIFEST_FILE).input)
        turns = cycle(sorted(photos.glob("*.jpg")))
        ways: dict[str, Callable[[], float]] = {
            "Boxport": lambda: answered(server, requests, seconds, folder),
            "bare loop": lambda: bare_loop(file, seconds),
            "bare loop that decodes": lambda: bare_loop(file, seconds, lambda: decode(next(turns))),
        }
        if yolox:
            (peer,) = [peer for peer in PEERS if peer.folder == "litserve"]
            python = make_venv(peer.home) / "python"
            lit = stack.enter_context(
                running(
                    "LitServe",
                    (python, "yolox.py"),
                    peer.home,
                    {"MODEL": str(file.resolve()), "THREADS": "1"},
                    peer.ready,
                    folder / "litserve.log",
                )
            )
            asked = requests_of(photos, peer.path)
            ways["LitServe"] = lambda: answered(lit, asked, seconds, folder)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(rounds + 1):  # the first warms up
            for way, run in ways.items():
                speed = run()
                if turn:
                    found[way].append(speed)
    ours = found["Boxport"]
    for way, speeds in found.items():
        ratio = statistics.median(a / b for a, b in zip(ours, speeds, strict=True))
        print(f"{way}: {statistics.median(speeds):.1f} photos/s, Boxport / {way} {ratio:.3f}")


if __name__ == "__main__":
    typer.run(main)
