"""What decoding takes of memory stays below what is admitted, for files of every kind."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from service.imaging.cost import worst_bytes
from service.imaging.formats import FORMATS
from service.imaging.images import DecodeOptions, decode_input
from service.imaging.input_spec import Letterbox
from service.problems import Problem
from tests.paths import ROOT
from tests.service.imaging.pictures import encode
from tests.service.imaging.test_refusals import tile_bomb

SIDE, FULL_SIDE = 3000, 8000
SLACK = 0.35  # of what is stated, that may be left: arenas, and a body's copies
# In a process of its own, the peak of resident memory above what it was before, and its statement.
MEASURE = """
import json, re, sys
from pathlib import Path
from contextlib import nullcontext
from service.imaging.formats import FORMATS, enable_formats
from service.imaging.images import DecodeOptions, decode_input
from service.imaging.input_spec import Letterbox
from service.runtime.memory import limit_free_memory, trim_memory

def status(key):
    return int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

def decode(file, spec):
    stated = []
    options = DecodeOptions(spec, 10**9, 1000, formats, reduce=False, exact=False)
    decode_input(file.read_bytes(), options, lambda needed: nullcontext(stated.append(needed)))
    return stated[0]

limit_free_memory()
formats = enable_formats([*FORMATS, "HEIF"])
common = dict(resize="letterbox", width=320, height=320, interpolation="bilinear",
              fill=(0, 0, 0), mean=(0, 0, 0), std=(1, 1, 1))
found = {}
for file in map(Path, sys.argv[1:]):
    spec = Letterbox(**common, antialias=not file.name.startswith("plain"))
    spec = None if file.name.startswith("whole") else spec
    decode(file.with_suffix(".small"), spec)
    trim_memory()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    stated = decode(file, spec)
    found[file.stem] = (status("VmHWM") - before, stated)
print(json.dumps(found))
"""
TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6
TURNED_BYTES = TURNED.tobytes()  # a writer takes the tag out of the object

# name: Pillow's format, mode, further arguments of `save`
SOME: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg turned": ("JPEG", "RGB", {"exif": TURNED_BYTES}),
    "jpeg progressive 4:4:4": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    "jpeg cmyk progressive": ("JPEG", "CMYK", {"progressive": True}),
    "whole jpeg": ("JPEG", "RGB", {}),
    "png palette": ("PNG", "P", {}),
    "whole png palette": ("PNG", "P", {}),
    "png rgba": ("PNG", "RGBA", {"compress_level": 1}),
    "plain png rgba": ("PNG", "RGBA", {"compress_level": 1}),
    "png 16 bits": ("PNG", "I;16", {"compress_level": 1}),
    "gif transparent": ("GIF", "P", {"transparency": 3}),
    "webp": ("WEBP", "RGB", {"method": 0}),
    "webp lossless alpha": ("WEBP", "RGBA", {"method": 0, "lossless": True}),
    "avif alpha": ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}),
    "bmp": ("BMP", "RGB", {}),
    "tiff one strip": (
        "TIFF",
        "RGBA",
        {"compression": "tiff_adobe_deflate", "strip_size": 2**30},
    ),
}
OTHERS: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg grey progressive": ("JPEG", "L", {"progressive": True}),
    "jpeg cmyk turned": ("JPEG", "CMYK", {"exif": TURNED_BYTES}),
    "plain jpeg": ("JPEG", "RGB", {}),
    "png": ("PNG", "RGB", {"compress_level": 1}),
    "png grey transparent": ("PNG", "L", {"transparency": 4}),
    "png one bit": ("PNG", "1", {}),
    "png grey alpha": ("PNG", "LA", {}),
    "png turned rgba": ("PNG", "RGBA", {"compress_level": 1, "exif": TURNED_BYTES}),
    "webp turned alpha": ("WEBP", "RGBA", {"method": 0, "exif": TURNED_BYTES}),
    "plain webp alpha": ("WEBP", "RGBA", {"method": 0}),
    "webp animated": ("WEBP", "RGBA", {"method": 0, "save_all": True}),
    "avif": ("AVIF", "RGB", {"speed": 10}),
    "avif turned": ("AVIF", "RGB", {"speed": 10, "exif": TURNED_BYTES}),
    "plain avif alpha": ("AVIF", "RGBA", {"speed": 10}),
    "bmp palette": ("BMP", "P", {}),
    "tiff cmyk": ("TIFF", "CMYK", {"compression": "tiff_lzw", "strip_size": 2**30}),
    "tiff 16 bits": ("TIFF", "I;16", {"compression": "tiff_lzw"}),
    "tiff turned": ("TIFF", "RGB", {"compression": "jpeg", "exif": TURNED_BYTES}),
    "tiff fax": ("TIFF", "1", {"compression": "group4"}),
    "tiff palette alpha": ("TIFF", "PA", {}),
    "heif": ("HEIF", "RGB", {}),
    "heif alpha": ("HEIF", "RGBA", {}),
}


def picture(mode: str, side: int) -> Image.Image:
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    whole = Image.fromarray(np.broadcast_to(ramp, (side, side)).copy())
    if mode == "I;16":
        return Image.fromarray(np.asarray(whole).astype(np.uint16) * 257)
    if mode in ("RGBA", "LA", "PA"):
        opaque = whole.convert("RGB" if mode == "RGBA" else mode[0])
        opaque.putalpha(whole)
        return opaque
    return whole.convert(mode)


@pytest.mark.parametrize(
    ("kinds", "side"),
    [
        pytest.param(SOME, SIDE, id="some"),
        pytest.param({**SOME, **OTHERS}, FULL_SIDE, id="all", marks=pytest.mark.full),
    ],
)
def test_decoding_takes_no_more_than_is_stated(kinds: dict, side: int, tmp_path: Path) -> None:
    if any(image_format == "HEIF" for image_format, _, _ in kinds.values()):
        pytest.importorskip("pillow_heif").register_heif_opener()
    files = []
    for name, (image_format, mode, options) in kinds.items():
        files.append(tmp_path / f"{name}.large")
        for size, file in ((side, files[-1]), (64, tmp_path / f"{name}.small")):
            one = picture(mode, size)
            if options.get("save_all"):
                options = {**options, "append_images": [one.transpose(Image.Transpose.ROTATE_90)]}
            file.write_bytes(encode(one, image_format, **options))
    found = {}
    for file in files:
        command = [sys.executable, "-c", MEASURE, file]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        found |= json.loads(done.stdout)
    for name, (peak, stated) in found.items():
        print(f"{name}: {peak / side**2:.1f} of {stated / side**2:.1f} bytes a pixel")
    assert found.keys() == kinds.keys()
    assert not {name: (peak, stated) for name, (peak, stated) in found.items() if peak > stated}
    assert all(peak > SLACK * stated for peak, stated in found.values())
    assert all(
        stated <= worst_bytes(side**2, file.stat().st_size)
        for file, (_, stated) in zip(files, found.values(), strict=True)
    )


def stated(content: bytes, *, reduce: bool = True) -> int:
    spec = Letterbox(
        resize="letterbox",
        width=320,
        height=320,
        interpolation="bilinear",
        fill=(0, 0, 0),
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    needed: list[int] = []

    def hold(number: int) -> nullcontext[None]:
        needed.append(number)
        raise Problem("overloaded", "It need not be decoded.")

    options = DecodeOptions(spec, 10**9, 1000, FORMATS, reduce=reduce, exact=False)
    with pytest.raises(Problem, match="need not"):
        decode_input(content, options, hold)
    return needed[0]


def test_a_jpeg_takes_what_it_is_reduced_to() -> None:
    photo = encode(Image.new("RGB", (8000, 6000)), "JPEG")
    assert stated(photo) < stated(photo, reduce=False) / 8


def test_a_jpeg_of_several_scans_takes_its_coefficients() -> None:
    """Whether it calls itself progressive or not."""
    photo = Image.new("RGB", (4000, 4000))
    progressive = encode(photo, "JPEG", progressive=True)
    scan = progressive.index(b"\xff\xda")
    sequential = bytearray(progressive.replace(b"\xff\xc2", b"\xff\xc0", 1))
    sequential[scan + 4] = 1  # component of its first scan; the others follow
    assert stated(progressive) > 6 * 4000**2 > stated(encode(photo, "JPEG"))
    assert stated(bytes(sequential)) > 6 * 4000**2


def test_a_tile_larger_than_its_tiff_is_counted() -> None:
    assert stated(tile_bomb(4000)) > 4 * 4000**2
