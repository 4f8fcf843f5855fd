"""Decodes mutants of one format in this process, which dies where a decoder does.

    python -m tests.soak.fuzz PHOTOS FORMAT BODIES SEED REPORT

Prints what became of them as JSON. REPORT holds the number of the mutant being decoded.
"""

import json
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import psutil

from service.imaging.images import open_image, prepare
from service.imaging.input_spec import Letterbox
from service.problems import Problem
from service.runtime.memory import limit_free_memory, trim_memory
from tests.soak.mutants import VARIANTS, seeds
from tests.soak.structures import structured_mutants

MAX_PIXELS = 4_000_000  # few mutants state so many, and what is below it takes no gigabytes
WARM_UP = 0.2
SPEC = Letterbox(
    resize="letterbox",
    width=64,
    height=64,
    interpolation="bilinear",
    fill=(0, 0, 0),
    mean=(0, 0, 0),
    std=(1, 1, 1),
)


def decode(body: bytes) -> str:
    """ "pixels", or the code of its problem; whatever else it raises is a fault."""
    try:
        with open_image(body, MAX_PIXELS) as image:
            prepared = prepare(image, SPEC)
    except Problem as problem:
        return problem.code
    assert prepared.pixels.shape == (64, 64, 3)
    return "pixels"


def main() -> None:
    photos, image_format, bodies, seed, report = sys.argv[1:]
    limit_free_memory()
    files = [
        file
        for file, (its_format, _, _) in zip(seeds(Path(photos)), VARIANTS, strict=True)
        if its_format == image_format
    ]
    process, outcomes = psutil.Process(), Counter[str]()
    settled, slowest = 0, 0.0
    for number, body in enumerate(
        islice(structured_mutants(files, image_format, int(seed)), int(bodies))
    ):
        Path(report).write_text(str(number))
        began = time.perf_counter()
        outcomes[decode(body)] += 1
        slowest = max(slowest, time.perf_counter() - began)
        if number == int(int(bodies) * WARM_UP):
            trim_memory()
            settled = process.memory_info().rss
    trim_memory()
    growth = process.memory_info().rss / settled - 1
    print(json.dumps({"growth": growth, "slowest_seconds": slowest, "outcomes": outcomes}))


if __name__ == "__main__":
    main()
