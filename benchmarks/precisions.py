"""Compares packages of one model in several precisions, from a JPEG's bytes to an answer's rows.

    python -m benchmarks.precisions FP32_PACKAGE INT8_PACKAGE --photos DIR

One worker for each processor, each with a session of one thread, takes photos as the service does,
without HTTP. The packages take turns, and the medians of all rounds are compared.
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export.evaluation.photo_set import find_photos
from service.imaging.files import MAX_PIXELS
from service.imaging.images import decode_image
from service.imaging.resize import to_input
from service.inference.classifier import Classifier
from service.inference.detector import Detector
from service.inference.task import Predictor
from service.package import open_package
from service.parameters import ClassifyParameters, DetectParameters

MAX_PHOTOS = 64


def open_predictor(folder: Path) -> Predictor:
    package = open_package(folder, threads=1)
    return Detector(package) if package.manifest.task == "detection" else Classifier(package)


def answer(predictor: Predictor, content: bytes, whole: bool) -> float:
    """Seconds of one photo: decoding, resizing and the run if ``whole``, else the run alone."""
    parameters = DetectParameters if predictor.rows_name == "detections" else ClassifyParameters
    started = time.perf_counter()
    image = to_input(decode_image(content, MAX_PIXELS), predictor.manifest.input)
    decoded = time.perf_counter()
    predictor.run([image], [predictor.to_query(parameters())])
    return time.perf_counter() - (started if whole else decoded)


def photos_a_second(predictors: list[Predictor], contents: list[bytes]) -> float:
    """With a worker for each of ``predictors``."""
    started = time.perf_counter()
    shares = [contents[i :: len(predictors)] for i in range(len(predictors))]
    with ThreadPoolExecutor(len(predictors)) as pool:
        list(pool.map(lambda r, share: [answer(r, c, True) for c in share], predictors, shares))
    return len(contents) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path, nargs="+", help="ratios are to the first")
    parser.add_argument("--photos", type=Path, default=Path("docs/photos"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    contents = [path.read_bytes() for path in find_photos(options.photos)[:MAX_PHOTOS]]
    packages = {path: [open_predictor(path) for _ in range(workers)] for path in options.packages}
    speeds: dict[Path, list[float]] = {path: [] for path in packages}
    alone: dict[Path, list[float]] = {path: [] for path in packages}
    for predictors in packages.values():
        photos_a_second(predictors, contents)  # warm
    for _ in range(options.rounds):
        for path, predictors in packages.items():
            speeds[path].append(photos_a_second(predictors, contents))
            times = [answer(predictors[0], content, False) for content in contents]
            alone[path].append(statistics.median(times))
    first = options.packages[0]
    print(f"{len(contents)} photos, {workers} workers of one thread, {options.rounds} rounds\n")
    print("| package | end to end, photos/s | ratio | graph alone, one worker, ms | ratio |")
    print("|---|---|---|---|---|")
    base, base_alone = statistics.median(speeds[first]), statistics.median(alone[first])
    for path in packages:
        speed, seconds = statistics.median(speeds[path]), statistics.median(alone[path])
        print(
            f"| {path.parent.name} | {speed:.1f} | {speed / base:.2f} |"
            f" {seconds * 1e3:.1f} | {base_alone / seconds:.2f} |"
        )


if __name__ == "__main__":
    main()
