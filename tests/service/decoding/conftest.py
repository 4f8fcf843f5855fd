"""A pool of one decoder."""

from collections.abc import Iterator

import pytest

from service.decoding.pool import DecoderPool
from service.imaging.formats import FORMATS
from service.imaging.images import DecodeOptions
from service.manifest import ModelManifest
from tests.service.decoding.decoders import ROOMY, opened


@pytest.fixture
def ends() -> list[str]:
    """Why decoders ended."""
    return []


@pytest.fixture
def pool(ends: list[str]) -> Iterator[DecoderPool]:
    with opened(ROOMY, ends) as one:
        yield one


@pytest.fixture
def options(manifest: ModelManifest) -> DecodeOptions:
    return DecodeOptions(manifest.input, 64_000_000, 1000, FORMATS, reduce=True, exact=False)
