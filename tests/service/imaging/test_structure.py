"""Files of many parts are refused by their structure; what programs write is not."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from service.imaging.structure import MAX_PARTS, MAX_SCANS, check_structure, is_plain
from service.problems import Problem

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF")


def encoded(image_format: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(buffer, image_format, **options)
    return buffer.getvalue()


def scans_repeated(times: int, progressive: bool = True) -> bytes:
    """A JPEG whose last scan comes so often."""
    content = encoded("JPEG", progressive=progressive)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * times + content[-2:]


def with_segments(count: int) -> bytes:
    content = encoded("JPEG")
    return content[:2] + b"\xff\xe5\x00\x03a" * count + content[2:]


def with_chunks(count: int) -> bytes:
    content = encoded("PNG")
    chunk = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return content[:33] + chunk * count + content[33:]


def inserted(image_format: str, at: int, what: bytes) -> bytes:
    """A file with ``what`` before the byte ``at``; a GIF's palette ends at 781."""
    content = encoded(image_format)
    return content[:at] + what + content[at:]


def test_a_few_loose_bytes_pass() -> None:
    """Some writers fill segments up, and a comment may be long."""
    check_structure(inserted("JPEG", 2, b"\xff" * 1000))
    check_structure(inserted("GIF", 781, b"!\xfe" + (b"\xff" + b"a" * 255) * 1000 + b"\0"))


def tiff(counts: list[int], order: str = "<", big: bool = False) -> bytes:
    """A directory of tags with so many numbers each."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    if big:
        entries = b"".join(struct.pack(order + "HHQQ", 273, 4, n, 0) for n in counts)
        return head + struct.pack(order + "HHQQ", 8, 0, 16, len(counts)) + entries
    entries = b"".join(struct.pack(order + "HHLL", 273, 4, n, 0) for n in counts)
    return head + struct.pack(order + "LH", 8, len(counts)) + entries


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpegs_of_programs_pass(options: dict[str, bool]) -> None:
    for quality in (10, 95):
        check_structure(encoded("JPEG", (640, 480), quality=quality, **options))


@pytest.mark.parametrize("image_format", FORMATS)
def test_other_files_of_programs_pass(image_format: str) -> None:
    check_structure(encoded(image_format, (640, 480)))


def test_sample_photos_pass(photos: Path) -> None:
    for path in photos.iterdir():
        check_structure(path.read_bytes())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(scans_repeated(3000), f"{MAX_SCANS} scans", id="scans"),
        pytest.param(with_segments(MAX_PARTS), f"{MAX_PARTS} segments", id="segments"),
        pytest.param(with_chunks(MAX_PARTS), f"{MAX_PARTS} chunks", id="chunks"),
        pytest.param(inserted("JPEG", 2, b"\xff" * 60_000), "between segments", id="fill"),
        pytest.param(inserted("JPEG", 20, b"\xff\0" * 30_000), "between segments", id="stuffing"),
        pytest.param(inserted("GIF", 781, bytes(60_000)), "before its first", id="loose bytes"),
        pytest.param(inserted("GIF", 781, b"!\xfe\1a\0" * 30_000), "before its", id="comments"),
        pytest.param(
            inserted("GIF", 781, b"!\xfe" + b"\1a" * 60_000 + b"\0"), "before its", id="comment"
        ),
        pytest.param(tiff([10, 10**6]), "tags' values", id="strips"),
        pytest.param(tiff([10**6], ">"), "tags' values", id="strips, big-endian"),
        pytest.param(tiff([10**6], big=True), "tags' values", id="strips, BigTIFF"),
        pytest.param(tiff([1] * 60_000), "tags' values", id="entries"),
    ],
)
def test_too_many_parts_are_refused(content: bytes, what: str) -> None:
    with pytest.raises(Problem, match=what) as refused:
        check_structure(content)
    assert refused.value.code == "image_too_large"


def test_scans_of_single_components_are_counted() -> None:
    """Sequential, but not all components at once: each scan goes over all pixels as well."""
    content = bytearray(encoded("JPEG"))
    where = content.index(b"\xff\xda")
    content[where + 4] = 1  # its header states one component
    repeated = bytes(content[:where]) + bytes(content[where:-2]) * 200 + b"\xff\xd9"
    with pytest.raises(Problem, match="scans"):
        check_structure(repeated)


@pytest.mark.parametrize("image_format", FORMATS)
def test_what_is_cut_short_is_left_to_pillow(image_format: str) -> None:
    content = encoded(image_format)
    for end in range(0, len(content), 7):
        check_structure(content[:end])


def test_only_the_scan_that_is_decoded_is_looked_at() -> None:
    """A sequential JPEG of one scan: nobody decodes what follows it."""
    check_structure(scans_repeated(3000, progressive=False))


@pytest.mark.parametrize(
    ("make", "plain"),
    [
        (partial(encoded, "JPEG"), True),
        (partial(encoded, "PNG"), True),
        (partial(encoded, "JPEG", progressive=True), False),
        (partial(encoded, "PNG", (5000, 4000)), False),
        (partial(encoded, "JPEG", (5000, 4000)), False),
        (partial(with_segments, 200), False),
        (lambda: encoded("JPEG")[:100], False),
        (lambda: b"\xff\xd8\xff", False),
        *((partial(encoded, image_format), False) for image_format in FORMATS[2:]),
    ],
    ids=[
        "JPEG",
        "PNG",
        "progressive",
        "large PNG",
        "large JPEG",
        "segments",
        "cut",
        "no more",
        *FORMATS[2:],
    ],
)
def test_plain_images_are_known(make: Callable[[], bytes], plain: bool) -> None:
    assert is_plain(make()) == plain
