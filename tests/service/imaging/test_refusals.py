"""Images that are damaged, too large or of no known format are clearly refused."""

import struct
import subprocess
import sys
import time
import zlib

import pytest
from PIL import Image

from service.imaging import images
from service.imaging.formats import unknown_image
from service.imaging.images import decode_image, open_image, prepare, to_rgb
from service.imaging.input_spec import Letterbox
from service.imaging.structure import webp_size
from service.problems import Problem
from tests.paths import ROOT
from tests.service.imaging.pictures import LIMIT, animation, encode, quadrants

SPEC = Letterbox(height=32, width=32, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises ``width`` x ``height`` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def tile_bomb(side: int = 4000) -> bytes:
    """A TIFF of 10 x 10 grey pixels, cut out of a tile of ``side`` x ``side``."""
    tile = zlib.compress(bytes(side * side), 9)
    tags = {
        256: 10,  # width
        257: 10,  # height
        258: 8,  # bits
        259: 8,  # deflate
        262: 1,  # black is 0
        277: 1,  # samples
        322: side,
        323: side,
        324: 8 + 2 + 12 * 10 + 4,  # where the tile begins: after the header and this table
        325: len(tile),
    }
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4) + tile


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """``content`` with ``value`` in place of what is at ``offset``."""
    return content[:offset] + value + content[offset + len(value) :]


def promising(image_format: str, width: int, height: int) -> bytes:
    """A file of a few bytes whose header promises ``width`` x ``height`` pixels."""
    if image_format == "PNG":
        return bomb(width, height)
    content = encode(Image.new("L", (16, 16)), image_format)
    shorts = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    match image_format:
        case "JPEG":
            sizes = struct.pack(">HH", height, width)
            return patched(content, content.index(b"\xff\xc0") + 5, sizes)
        case "GIF":
            return patched(content, 6, shorts)
        case "BMP":
            return patched(content, 18, struct.pack("<ii", width, height))
        case "TIFF":
            for tag, value in ((256, width), (257, height)):
                row = content.index(struct.pack("<HHI", tag, 4, 1))
                content = patched(content, row + 8, struct.pack("<I", value))
            return content
    raise AssertionError(image_format)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_a_bomb_is_refused_by_its_header(image_format: str) -> None:
    content = promising(image_format, 60_000, 50_000)
    assert len(content) < 2000
    with pytest.raises(Problem, match="60000 x 50000 = 3000000000 pixels") as caught:
        decode_image(content, 2_999_999_999)
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize(("image_format", "side"), [("WEBP", 4000), ("AVIF", 3000)])
def test_a_bomb_of_one_colour_is_refused_by_its_header(image_format: str, side: int) -> None:
    """These two formats pack it so well that no header need lie."""
    options = {"AVIF": {"speed": 10}, "WEBP": {"lossless": True, "method": 0}}[image_format]
    content = encode(Image.new("RGB", (side, side)), image_format, **options)
    assert len(content) < 10_000
    started = time.perf_counter()
    with pytest.raises(Problem, match=f"{side} x {side}") as caught:
        decode_image(content, side * side - 1)
    assert caught.value.code == "image_too_large"
    refused = time.perf_counter() - started
    decode_image(content, side * side)
    assert refused < (time.perf_counter() - started) / 5, "nothing was decoded"


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "AVIF"])
def test_an_animation_of_too_many_frames_is_refused(image_format: str) -> None:
    content = animation(image_format, 5)
    with open_image(content, LIMIT, max_frames=5) as image:
        assert to_rgb(image).size == (8, 8)
    with (
        pytest.raises(Problem, match="5 frames; at most 4") as caught,
        open_image(content, LIMIT, max_frames=4),
    ):
        pass
    assert caught.value.code == "image_too_large"


def test_only_formats_that_are_asked_for_are_read() -> None:
    content = encode(quadrants(), "PNG")
    with open_image(content, LIMIT, formats=("JPEG", "PNG")) as image:
        assert image.size == (60, 40)
    with (
        pytest.raises(Problem, match=r"known format \(JPEG, GIF\)"),
        open_image(content, LIMIT, formats=("JPEG", "GIF")),
    ):
        pass


def test_a_fault_that_is_not_the_images_is_not_told_as_damage() -> None:
    """What is done with an image that has been decoded is no work of Pillow's decoders."""
    with pytest.raises(ZeroDivisionError), open_image(encode(quadrants(), "PNG"), LIMIT):
        raise ZeroDivisionError("boom")


@pytest.mark.parametrize("name", ["to_input", "least_size"])
def test_a_fault_of_resizing_is_not_told_as_damage(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(images, name, fail)
    with (
        open_image(encode(quadrants(), "PNG"), LIMIT) as image,
        pytest.raises(ValueError, match="boom"),
    ):
        prepare(image, SPEC)


@pytest.mark.parametrize(
    "brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic", b"heix\0\0\0\0"]
)
def test_heic_is_named_with_how_to_have_it_read(brands: bytes) -> None:
    content = struct.pack(">I4s", 8 + len(brands), b"ftyp") + brands + bytes(100)
    with pytest.raises(Problem, match=r"HEIC photo.*pillow-heif.*FORMATS=JPEG,.*TIFF,HEIF\.$"):
        decode_image(content, LIMIT)
    assert "begin as HEIF does" in unknown_image(content, ("JPEG", "HEIF")).detail
    avif = content.replace(b"mif1heic", b"mif1avif").replace(b"heic", b"avif")
    with pytest.raises(Problem) as caught:
        decode_image(avif.replace(b"heix", b"avif"), LIMIT)
    assert "HEIC" not in caught.value.detail


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encode(quadrants(), "ICO"), "an icon"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "a JPEG"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100), "a film"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE HTML><html>log in</html>", "a page of HTML"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"data:image/jpeg;base64,/9j/", "a data URI"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, words: str) -> None:
    with pytest.raises(Problem, match=rf"known format \(JPEG, .*begin as {words}"):
        decode_image(content, LIMIT)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "empty_image", "0 bytes"),
        (b"# Boxport\n" * 20, "invalid_image", "no image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "invalid_image", "image"),
        (encode(quadrants(), "JPEG")[:-300], "invalid_image", "cut short"),
        (encode(quadrants(), "JPEG")[:-2], "invalid_image", "cut short"),
        (encode(quadrants(), "PNG")[:-40], "invalid_image", "cut short"),
        (encode(quadrants(), "WEBP")[:-40], "invalid_image", "cut short"),
        (encode(quadrants(), "ICO"), "invalid_image", "no image"),
        (encode(Image.new("F", (4, 4)), "TIFF"), "invalid_image", "floating-point samples"),
        (bomb(100_000, 100_000), "image_too_large", "100000 x 100000"),
        (tile_bomb(), "image_too_large", "tile has 4000 x 4000"),
        (encode(Image.new("1", (1001, 1000)), "PNG"), "image_too_large", "1001 x 1000"),
    ],
    ids=[
        "empty",
        "text",
        "only the start of a JPEG",
        "JPEG cut short",
        "JPEG without its end marker",
        "PNG cut short",
        "WebP cut short",
        "a format that is not accepted",
        "floating point",
        "decompression bomb",
        "a tile that is larger than its image",
        "just over the limit of pixels",
    ],
)
def test_bad_image_is_refused(content: bytes, code: str, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        decode_image(content, LIMIT)
    assert caught.value.code == code


def test_image_of_exactly_the_limit_is_accepted() -> None:
    assert decode_image(encode(Image.new("1", (1000, 1000)), "PNG"), LIMIT).size == (1000, 1000)


# Decodes a picture of 64 million pixels where there is memory for a third of it.
SHORT_OF_MEMORY = """
import io, resource
from PIL import Image
from service.imaging.images import decode_image
from service.problems import Problem

buffer = io.BytesIO()
Image.new("RGBA", (8000, 8000)).save(buffer, "PNG")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)
try:
    decode_image(buffer.getvalue(), 10**9)
except Problem as problem:
    print(problem.code, problem.kind.retryable)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the memory is not known")
def test_too_little_memory_is_no_damage() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "overloaded True\n", done.stderr


def test_a_webp_is_measured_before_anything_is_made_of_it() -> None:
    """Pillow takes the memory of two canvases as it reads the header."""
    sides = (9999).to_bytes(3, "little") * 2
    stated = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + sides
    with pytest.raises(Problem, match="10000 x 10000") as caught, open_image(stated, 10**7):
        pass
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"save_all": True}])
def test_every_webp_states_its_size(options: dict) -> None:
    content = encode(Image.new("RGBA", (123, 77)), "WEBP", **options)
    assert webp_size(content) == (123, 77)
    assert webp_size(b"RIFF") == (0, 0)


DAMAGED_TAGS = """
import io
from PIL import Image
from service.imaging.images import open_image
buffer = io.BytesIO()
Image.new("RGB", (9, 9)).save(buffer, "JPEG", exif=b"Exif\\0\\0MM\\0*garbage")
with open_image(buffer.getvalue(), 100) as image:
    print(image.getexif())
"""


def test_damage_that_pillow_gets_over_is_not_told_in_the_log() -> None:
    command = [sys.executable, "-W", "default", "-c", DAMAGED_TAGS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{}\n", "")
