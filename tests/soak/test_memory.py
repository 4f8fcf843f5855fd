"""The worst images that are let in, many of each format: what they took is given back, and a pod of
two gigabytes outlives them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.server import running_server
from tests.service.imaging.pictures import encode
from tests.soak.processes import Memory, in_pod, resident_bytes, watched_memory, workers
from tests.soak.results import length, record

EACH = int(length("WORST", 500))  # images of each format
AT_ONCE = 16
SIDE = 8000  # 64 megapixels, the most by default
POD = 2 * 2**30
SETTLE_SECONDS = 3.0
BOUNDS = {"max_decoding_bytes": POD // 2, "max_bytes_in_service": POD // 8}  # as in such a pod


def worst() -> dict[str, Callable[[Image.Image], bytes]]:
    """Of each format what takes most memory, of a picture in RGBA."""
    return {
        "PNG": lambda p: encode(p, "PNG", compress_level=1),
        "JPEG": lambda p: encode(p.convert("CMYK"), "JPEG", progressive=True),
        "WEBP": lambda p: encode(p, "WEBP", method=0),
        "AVIF": lambda p: encode(p, "AVIF", speed=10, subsampling="4:4:4"),
        "TIFF": lambda p: encode(p, "TIFF", compression="tiff_adobe_deflate", strip_size=2**30),
        "GIF": lambda p: encode(p.convert("P"), "GIF", transparency=3),
        "BMP": lambda p: encode(p.convert("1"), "BMP"),  # larger ones are bounded as bodies
    }


def picture() -> Image.Image:
    ramp = np.linspace(0, 255, SIDE).astype(np.uint8)
    grey = Image.fromarray(np.broadcast_to(ramp, (SIDE, SIDE)).copy())
    return Image.merge("RGBA", [grey] * 4)


async def send(url: str, body: bytes, number: int, at_once: int) -> Counter[int]:
    """The statuses of so many requests; raises httpx.TransportError if one is lost."""
    statuses, left = Counter[int](), iter(range(number))
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:

        async def work() -> None:
            for _ in left:
                reply = await client.post(
                    "/v1/classify", content=body, headers={"Content-Type": "image/*"}
                )
                statuses[reply.status_code] += 1

        await asyncio.gather(*(work() for _ in range(at_once)))
    return statuses


@pytest.mark.soak
@pytest.mark.parametrize("image_format", worst())
def test_the_worst_images_leave_nothing(image_format: str, tmp_path: Path) -> None:
    body = worst()[image_format](picture())
    with running_server(tmp_path, **BOUNDS) as server, in_pod(server, POD) as killed:
        pids = [worker.pid for worker in workers(server)]
        asyncio.run(send(server.url, encode(Image.new("RGB", (900, 900)), "JPEG"), 20, 2))
        resting = resident_bytes(server)
        with watched_memory(server, 0.05) as memory:
            alone = asyncio.run(send(server.url, body, EACH, 1))
            together = asyncio.run(send(server.url, body, EACH, AT_ONCE))
        time.sleep(SETTLE_SECONDS)
        growth = resident_bytes(server) / resting - 1
        same = [worker.pid for worker in workers(server)] == pids
        kills = killed()
    peak = _peak(memory)
    record(
        f"worst {image_format}",
        each=EACH,
        alone=alone,
        together=together,
        resting_mb=round(resting / 1e6),
        peak_mb=round(peak / 1e6),
        growth=round(growth, 3),
        killed="no cgroup" if kills is None else kills,
    )
    assert same
    assert not kills
    assert alone.keys() == {200}
    assert together.keys() <= {200, 503, 504}
    assert alone.total() == together.total() == EACH
    assert peak < POD
    assert growth < 0.1


def _peak(memory: Memory) -> int:
    return max(taken for _, taken in memory.samples)
