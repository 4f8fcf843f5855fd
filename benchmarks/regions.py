"""`python -m benchmarks.regions`: what ten regions of a photo of 12 megapixels cost.

One request with the photo and its regions, against the photo decoded once and ten inputs of the
classifier's size, which need neither decoding nor resizing: less than the parts of the work can be
had for. Beside them what a client does without regions: ten crops as files, and the photo's own
request. In this process and without HTTP; they take turns, so that drift of the machine affects all
of them alike. Printed are medians, and the median of each turn's ratio.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import typer
from PIL import Image

from benchmarks.photos import PHONE_SIZE, phone_photos
from benchmarks.run import SAMPLES
from service.engine.answer import Content
from service.engine.engine import Engine
from service.imaging.images import decode_image
from service.imaging.resize import to_input
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import ClassifyParameters
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState

CLASSIFIER = "efficientnet_lite0_imagenet"
REGIONS, MIN_SIDE, MAX_SIDE = 10, 300, 1200  # pixels, as of objects in such a photo
CROP_QUALITY = 92
WARM_UP = 2
TARGET = 1.3  # times one decode and ten classifications

Work = Callable[[], Coroutine[Any, Any, object]]


def boxes(number: int = REGIONS) -> list[list[float]]:
    """Of different sizes and shapes, anywhere in the photo."""
    random = np.random.default_rng(0)
    sides = random.integers(MIN_SIDE, MAX_SIDE, (number, 2))
    corners = (random.random((number, 2)) * (np.array(PHONE_SIZE) - sides)).astype(int)
    return [[float(side) for side in row] for row in np.hstack([corners, corners + sides])]


def works(engine: Engine, photo: bytes) -> dict[str, list[Work]]:
    """What is measured, by name: each a list of what is done one after the other."""
    regions = boxes()
    picture = decode_image(photo, 10**9)
    cut = [picture.crop(tuple(map(int, box))) for box in regions]
    version = engine.repository.find(CLASSIFIER)
    assert version.manifest is not None
    inputs: list[Content] = [to_input(part, version.manifest.input) for part in cut]
    files: list[Content] = [_to_jpeg(part) for part in cut]

    def ask(contents: list[Content], regions: list[list[float]] | None = None) -> Work:
        parameters = ClassifyParameters(model=CLASSIFIER, regions=regions)

        async def run() -> object:
            policy = RequestPolicy(Deadline.after(60))
            answer = await engine.answer("classification", contents, parameters, policy)
            assert all(isinstance(result, dict) for result in answer.results)
            return answer

        return run

    async def decode() -> object:
        return await asyncio.to_thread(decode_image, photo, 10**9)

    return {
        "one request with regions": [ask([photo], regions)],
        "one decode, ten inputs": [decode, ask(inputs)],
        "ten crops as files": [ask(files)],
        "the photo as a whole": [ask([photo])],
    }


async def take_turns(
    given: dict[str, list[Work]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of each turn: elapsed, and of processors."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in given}
    for turn in range(WARM_UP + rounds):
        for name, parts in given.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for part in parts:
                await part()
            taken = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
            if turn >= WARM_UP:
                spent[name].append(taken)
    return spent


def _to_jpeg(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=CROP_QUALITY)
    return buffer.getvalue()


def main(rounds: int = 15) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (file,) = sorted(phone_photos(SAMPLES, Path(folder), 1).glob("*.jpg"))
        photo = file.read_bytes()
    engine = Engine(Settings(watch_seconds=0), Metrics(ServiceState))
    with asyncio.Runner() as runner:
        spent = runner.run(take_turns(works(engine, photo), rounds))
        engine.close()
    names = list(spent)
    base = spent[names[1]]
    print(f"medians of {rounds} turns; target {TARGET} x {names[1]}")
    for name, turns in spent.items():
        wall, cpu = (statistics.median(values) for values in zip(*turns, strict=True))
        ratios = [
            [own[i] / other[i] for own, other in zip(turns, base, strict=True)] for i in (0, 1)
        ]
        of_wall, of_cpu = map(statistics.median, ratios)
        print(f"  {name:26} {wall:6.0f} ms ({of_wall:.2f}), CPU {cpu:6.0f} ms ({of_cpu:.2f})")


if __name__ == "__main__":
    typer.run(main)
