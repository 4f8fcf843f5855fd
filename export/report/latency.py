"""The latency of a package on this machine."""

import itertools
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.parity.model import Image, to_feeds
from service.cpus import available_cpus
from service.package import open_package

BATCH_SIZES = (1, 8)
MOST_RUNS = 200  # of one setting
FEWEST_FOR_P95 = 20
SECONDS = 1.0  # of runs, for each setting
PATIENCE = 4  # times as long, at most
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Latency:
    """Runs of batches of ``batch_size`` on ``threads`` threads: their median and 95th percentile in
    milliseconds a batch, the latter None for fewer than twenty runs.

    cpu_share: of the time, on each thread, that this process had a processor, in 0..1.
    """

    batch_size: int
    threads: int
    runs: int
    median_ms: float
    p95_ms: float | None
    cpu_share: float

    @property
    def ms_per_image(self) -> float:
        return self.median_ms / self.batch_size

    @property
    def images_per_second(self) -> float:
        return 1000 / self.ms_per_image


def measure_latency(package: Path, image: Image) -> tuple[Latency, ...]:
    """Time the graph alone, decoded ``image`` uint8 [H, W, 3] to answer, at each batch size on one
    thread and on all, for `SECONDS` each, up to four times as long if the runs are few."""
    return tuple(
        _measure(package, image, batch_size, threads)
        for batch_size, threads in itertools.product(BATCH_SIZES, sorted({1, available_cpus()}))
    )


def _measure(package: Path, image: Image, batch_size: int, threads: int) -> Latency:
    opened = open_package(package, threads)
    feeds = to_feeds(opened.manifest, [image] * batch_size)
    start, cpu_start = time.perf_counter(), time.process_time()
    times: list[float] = []
    while not _suffices(times):
        run_start = time.perf_counter()
        opened.run(feeds)
        times.append(time.perf_counter() - run_start)
    settled = times[1:] or times  # the first run allocates memory
    p95 = float(np.percentile(settled, 95)) * 1000 if len(settled) >= FEWEST_FOR_P95 else None
    cpu_share = (time.process_time() - cpu_start) / (time.perf_counter() - start) / threads
    median = float(np.median(settled)) * 1000
    return Latency(batch_size, threads, len(settled), median, p95, min(1.0, cpu_share))


def _suffices(times: list[float]) -> bool:
    """Whether there are enough runs; slow packages get up to `PATIENCE` times as long, so that they
    have a percentile."""
    few = len(times) <= FEWEST_FOR_P95
    enough = sum(times) >= SECONDS * (PATIENCE if few else 1)
    return bool(times) and (enough or len(times) > MOST_RUNS)


def machine_name(cpu_info: Path = CPU_INFO) -> str:
    """This machine's processor, and how many of it this process may use."""
    content = cpu_info.read_text() if cpu_info.is_file() else ""  # there on Linux
    found = re.search(r"^model name\s*: *(.+)$", content, re.MULTILINE)
    processor = found[1] if found else platform.processor() or platform.machine()
    cpus = available_cpus()
    return f"{processor}, {cpus} processor{'s' if cpus > 1 else ''}"
