"""The most that this machine can do with a model: decoding, resizing, ONNX Runtime and the answer's
rows in one process, on every processor, without HTTP.

    python -m benchmarks.limit PACKAGE PHOTOS SECONDS > limit.json

A process of its own, as servers are. PHOTOS is a folder, whose files the system keeps in memory.
"""

import itertools
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnxruntime as ort

from export.photos import find_photos, read_photo
from service.classifier import Classifier
from service.cpus import available_cpus
from service.detector import Detector
from service.manifest import GRAPH_FILE
from service.package import Array, ModelPackage, open_package
from service.parameters import ClassifyParameters, DetectParameters
from service.runner import Job, Runner

WARM_UP = 3  # photos
LONE_SHARE = 0.3  # of the seconds, for one photo at a time


@dataclass(frozen=True)
class Layout:
    """``workers`` threads that each take a photo from its file to its answer, on ``sessions``
    sessions whose runs have ``threads`` threads."""

    workers: int
    sessions: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.workers} workers, {self.sessions} sessions of {self.threads} threads"


@dataclass(frozen=True)
class Speed:
    """per_second: photos. cpu_ms: of all processors, for one photo."""

    per_second: float
    cpu_ms: float


@dataclass(frozen=True)
class Stages:
    """Median milliseconds of one photo, alone, all processors for its run."""

    decode: float
    inference: float
    rows: float
    whole: float


@dataclass(frozen=True)
class Limit:
    """speeds: by the name of the layout."""

    speeds: dict[str, Speed]
    stages: Stages

    @property
    def best(self) -> Speed:
        return max(self.speeds.values(), key=lambda speed: speed.per_second)

    @property
    def least_cpu_ms(self) -> float:
        """What the work itself takes of the processors; more threads only add to that."""
        return min(speed.cpu_ms for speed in self.speeds.values())

    @classmethod
    def parse(cls, text: str) -> "Limit":
        content = json.loads(text)
        speeds = {name: Speed(**speed) for name, speed in content["speeds"].items()}
        return cls(speeds, Stages(**content["stages"]))


class TimedPackage(ModelPackage):
    """Keeps when its last run began and ended."""

    def run(self, feeds: dict[str, Array], **options: Any) -> dict[str, Array]:
        began = time.perf_counter()
        outputs = super().run(feeds, **options)
        object.__setattr__(self, "took", time.perf_counter() - began)
        return outputs


def layouts(processors: int) -> list[Layout]:
    """Those worth trying: runs side by side, on sessions of their own or one; and runs that take
    every processor, one at a time or with the next photo's decoding beside it."""
    tried = [
        Layout(processors, processors, 1),
        Layout(processors, 1, 1),
        Layout(1, 1, processors),
        Layout(2, 1, processors),
    ]
    return list(dict.fromkeys(tried))


def measure(folder: Path, photos: Path, seconds: float) -> Limit:
    """The limit of the package in ``folder``, in about so many seconds."""
    paths = find_photos(photos)
    tried = layouts(available_cpus())
    share = seconds * (1 - LONE_SHARE) / len(tried)
    speeds = {layout.name: _speed(folder, paths, layout, share) for layout in tried}
    return Limit(speeds, _stages(folder, paths, seconds * LONE_SHARE))


def _open(folder: Path, threads: int) -> ModelPackage:
    """With ONNX Runtime's own settings, but for the number of threads: those of the service are
    made for serving."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(folder / GRAPH_FILE, options, ["CPUExecutionProvider"])
    return replace(open_package(folder, threads=1), session=session)


def _runner(package: ModelPackage) -> Runner[Any]:
    return Detector(package) if package.manifest.task == "detection" else Classifier(package)


def _query(runner: Runner[Any]) -> Any:
    detects = runner.manifest.task == "detection"
    return runner.to_query(DetectParameters() if detects else ClassifyParameters())


def _answer(runner: Runner[Any], path: Path, query: Any) -> None:
    runner.run([Job(read_photo(path, runner.manifest.input), query)])


def _speed(folder: Path, paths: list[Path], layout: Layout, seconds: float) -> Speed:
    runners = [_runner(_open(folder, layout.threads)) for _ in range(layout.sessions)]
    turns: Iterator[Path] = itertools.cycle(paths)
    done = [0] * layout.workers
    for runner in runners:
        for path in itertools.islice(turns, WARM_UP):
            _answer(runner, path, _query(runner))

    def work(number: int) -> None:
        runner = runners[number % len(runners)]
        query = _query(runner)
        while not done[number] or time.perf_counter() < end:
            _answer(runner, next(turns), query)
            done[number] += 1

    began, used = time.perf_counter(), time.process_time()
    end = began + seconds
    workers = [threading.Thread(target=work, args=(i,)) for i in range(layout.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken, used = time.perf_counter() - began, time.process_time() - used
    return Speed(sum(done) / taken, used / sum(done) * 1e3)


def _stages(folder: Path, paths: list[Path], seconds: float) -> Stages:
    package = _open(folder, available_cpus())
    fields = {name: getattr(package, name) for name in package.__dataclass_fields__}
    timed = TimedPackage(**fields)
    runner = _runner(timed)
    query = _query(runner)
    found: list[tuple[float, float, float, float]] = []
    end = time.perf_counter() + seconds
    for number, path in enumerate(itertools.cycle(paths)):
        if number > WARM_UP and time.perf_counter() > end:
            break
        began = time.perf_counter()
        image = read_photo(path, runner.manifest.input)
        decoded = time.perf_counter()
        runner.run([Job(image, query)])
        ended = time.perf_counter()
        took: float = vars(timed)["took"]
        if number >= WARM_UP:
            found.append((decoded - began, took, ended - decoded - took, ended - began))
    return Stages(*(statistics.median(column) * 1e3 for column in zip(*found, strict=True)))


def main() -> None:
    folder, photos, seconds = sys.argv[1:]
    print(json.dumps(asdict(measure(Path(folder), Path(photos), float(seconds)))))


if __name__ == "__main__":
    main()
