"""The photos that load is made of."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from boxport_client.cli.endings import Refused
from boxport_client.cli.sources import find_sources
from boxport_client.photos import to_bytes

MOST_PHOTOS = 200  # they are kept in memory
SIZE = (500, 375)  # as most photos of VOC
NOISE = 24  # of grey values: makes the file about as large as that of a photo


def read_photos(name: str) -> list[bytes]:
    """The bytes of the photos in a folder, or of a glob or file; raises Refused or PhotoError."""
    sources = find_sources([name])
    if any(source.path is None for source in sources):
        raise Refused(f"--photos {name}: name a folder, a glob or a file")
    return [to_bytes(source.photo) for source in sources[:MOST_PHOTOS]]


def made_photo() -> bytes:
    """A JPEG of noise, for want of a photo."""
    grain = Image.effect_noise(SIZE, NOISE)
    slope = Image.linear_gradient("L").resize(SIZE)
    picture = Image.merge("RGB", (Image.blend(grain, slope, 0.5), grain, slope))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
