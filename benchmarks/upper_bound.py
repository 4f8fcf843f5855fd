"""The upper bound: what this machine reaches with a model in one process, without HTTP: decoding,
resizing, ONNX Runtime and the rows of the answer.

    python -m benchmarks.upper_bound PACKAGE PHOTOS

It is a process of its own, as servers are. PHOTOS is a folder, whose files stay in the page cache.
Each line of standard input is a command in JSON, such as
{"layout": [2, 2, 1], "seconds": 3, "rate": null}, and each line of output its `Speed`.
`benchmarks.upper_bound_process` writes the commands.
"""

import itertools
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import onnxruntime as ort

from benchmarks.results import quantile
from export.evaluation.photo_set import find_photos
from service.imaging.files import read_photo
from service.inference.classifier import Classifier
from service.inference.detector import Detector
from service.inference.task import Predictor
from service.manifest import GRAPH_FILE
from service.package import ModelPackage, open_package
from service.parameters import ClassifyParameters, DetectParameters

WARM_UP = 3  # photos that each session runs before it is measured


@dataclass(frozen=True)
class Layout:
    """``workers`` threads that each take a photo from its file to its answer, on ``sessions``
    ONNX Runtime sessions of ``threads`` threads each."""

    workers: int
    sessions: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.workers} workers, {self.sessions} sessions of {self.threads} threads"


@dataclass(frozen=True)
class Speed:
    """``photos`` answered in ``seconds``, with ``cpu_seconds`` of processor time.

    p50_ms, p99_ms: latency of a photo, from when it was due to its answer.
    """

    photos: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.photos / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of one photo."""
        return self.cpu_seconds / self.photos * 1e3


def latency_layout(processors: int) -> Layout:
    """One photo at a time, with all processors for its run."""
    return Layout(1, 1, processors)


def layouts(processors: int) -> list[Layout]:
    """Those worth trying: concurrent runs of one thread, on a session each or on one; and runs on
    all processors, one at a time or while the next photo is decoded."""
    tried = [
        Layout(processors, processors, 1),
        Layout(processors, 1, 1),
        latency_layout(processors),
        Layout(2, 1, processors),
    ]
    return list(dict.fromkeys(tried))


class Bench:
    """Runs the package in ``folder`` on ``photos``, a folder, in one layout after another; sessions
    are kept for the next run of the same layout."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self._folder = folder
        self._paths = find_photos(photos)
        self._predictors: dict[Layout, list[Predictor[Any]]] = {}

    def run(self, layout: Layout, seconds: float, rate: float | None = None) -> Speed:
        """The speed over ``seconds``; each worker answers at least one photo.

        rate: photos that are due in a second, evenly spaced, whether or not a worker is free; None
            if one is due as soon as a worker is free.
        """
        predictors = self._predictors.get(layout) or self._open(layout)
        turns: Iterator[Path] = itertools.cycle(self._paths)
        numbers = itertools.count()
        latencies: list[list[float]] = [[] for _ in range(layout.workers)]

        def work(number: int) -> None:
            predictor = predictors[number % len(predictors)]
            query = query_of(predictor)
            while True:
                due = time.perf_counter() if rate is None else began + next(numbers) / rate
                if latencies[number] and due >= end:  # photos that were due before are all answered
                    break
                if rate is not None:
                    time.sleep(max(0.0, due - time.perf_counter()))
                _answer(predictor, next(turns), query)
                latencies[number].append(time.perf_counter() - due)

        began, used = time.perf_counter(), time.process_time()
        end = began + seconds
        workers = [threading.Thread(target=work, args=(i,)) for i in range(layout.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        taken, used = time.perf_counter() - began, time.process_time() - used
        every = [latency * 1e3 for one in latencies for latency in one]
        return Speed(len(every), taken, used, statistics.median(every), quantile(every, 0.99))

    def _open(self, layout: Layout) -> list[Predictor[Any]]:
        packages = (_package(self._folder, layout.threads) for _ in range(layout.sessions))
        self._predictors[layout] = [predictor_of(package) for package in packages]
        for predictor in self._predictors[layout]:
            for path in itertools.islice(itertools.cycle(self._paths), WARM_UP):
                _answer(predictor, path, query_of(predictor))
        return self._predictors[layout]


def _package(folder: Path, threads: int) -> ModelPackage:
    """With ONNX Runtime's defaults but for the number of threads: the service's session options
    are chosen for serving."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(folder / GRAPH_FILE, options, ["CPUExecutionProvider"])
    return replace(open_package(folder, threads=1), session=session)


def predictor_of(package: ModelPackage) -> Predictor[Any]:
    return Detector(package) if package.manifest.task == "detection" else Classifier(package)


def query_of(predictor: Predictor[Any]) -> Any:
    detects = predictor.manifest.task == "detection"
    return predictor.to_query(DetectParameters() if detects else ClassifyParameters())


def _answer(predictor: Predictor[Any], path: Path, query: Any) -> None:
    predictor.run([read_photo(path, predictor.manifest.input)], [query])


def to_command(layout: Layout, seconds: float, rate: float | None = None) -> str:
    return json.dumps({"layout": astuple(layout), "seconds": seconds, "rate": rate})


def main() -> None:
    package, photos = map(Path, sys.argv[1:])
    bench = Bench(package, photos)
    for line in sys.stdin:
        command = json.loads(line)
        speed = bench.run(Layout(*command["layout"]), command["seconds"], command["rate"])
        print(json.dumps(asdict(speed)), flush=True)


if __name__ == "__main__":
    main()
