"""Decoder processes and images for tests."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psutil
from PIL import Image

from service.decoding import pool as pools
from service.decoding.pool import DecoderPool
from service.imaging.formats import FORMATS

ROOMY = 2 * 2**30
SERVER = pools.server.__name__


@contextmanager
def opened(memory_bytes: int, ends: list[str]) -> Iterator[DecoderPool]:
    one = DecoderPool(FORMATS, memory_bytes, 1, ends.append)
    try:
        one.start()
        yield one
    finally:
        one.close()
    assert not servers()


def servers(parent: int | None = None) -> list[psutil.Process]:
    """The fork servers that ``parent``, or this process, has started."""
    return [one for one in psutil.Process(parent).children() if SERVER in one.cmdline()]


def decoders(parent: int | None = None) -> list[psutil.Process]:
    return [one for server in servers(parent) for one in server.children()]


def let_in(number: int) -> nullcontext[None]:
    return nullcontext()


def file_of(image_format: str, size: tuple[int, int] = (300, 200), **save: int) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(buffer, image_format, **save)
    return buffer.getvalue()
