"""What a server holds when the photos are gone."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from PIL import Image

from tests.e2e.server import Server, running_server
from tests.export.small import small_package
from tests.soak.processes import resident_bytes

CALLERS = 4
USUAL, LARGE = (500, 375), (2600, 2600)  # 27 MB of pixels, which no PNG is decoded to less of
GROWTH = 20 * 2**20  # bytes; each of two threads kept 29 MB


def png(size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, (9, 90, 200)).save(content, "PNG")
    return content.getvalue()


def ask(server: Server, photos: Sequence[bytes]) -> None:
    with (
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        replies = pool.map(
            lambda photo: client.post(
                "/v1/classify", content=photo, headers={"Content-Type": "image/png"}
            ),
            photos,
        )
        assert {reply.status_code for reply in replies} == {200}


def test_large_photos_leave_nothing_behind(tmp_path: Path) -> None:
    store = small_package(tmp_path / "store", "small").parent.parent
    with running_server(tmp_path, model_store=store) as server:
        ask(server, [png(USUAL)] * 40)
        before = resident_bytes(server)
        ask(server, [png(LARGE)] * 16)
        assert resident_bytes(server) - before < GROWTH
