"""Every kind of photo that a caller may give, as the bytes of an image file or as an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image

from boxport_client._errors import PhotoError
from boxport_client._metadata import without_metadata
from boxport_client._pixels import from_array, plain, upright

if TYPE_CHECKING:
    import numpy.typing as npt

    Photo = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | BinaryIO
        | Image.Image
        | npt.NDArray[Any]
    )
else:
    Photo = Any

URL_SCHEMES = ("http://", "https://")


def is_url(photo: Photo) -> bool:
    """Whether the service is to fetch the photo itself."""
    return isinstance(photo, str) and photo[:8].lower().startswith(URL_SCHEMES)


def to_url(photo: Photo) -> str:
    """The URL as it is sent; raises PhotoError for letters that no request can have."""
    url = str(photo)
    if any("\ud800" <= letter <= "\udfff" for letter in url):  # of a name that is not UTF-8
        raise PhotoError(f"{url!a}: is not a URL")
    return url


def is_array(photo: object) -> bool:
    """Whether numpy can make an array of ``photo``, which is no PIL image."""
    if isinstance(photo, (Image.Image, str, bytes, bytearray, memoryview, os.PathLike)):
        return False
    return hasattr(photo, "__array_interface__") or hasattr(photo, "__array__")


def to_bytes(photo: Photo) -> bytes:
    """The bytes of an image file.

    Files and bytes go as they are, file objects from where they stand; pictures and arrays become a
    PNG of what the service would see in their file. Raises PhotoError.
    """
    if isinstance(photo, bytes):
        content = photo
    elif isinstance(photo, (bytearray, memoryview)):
        content = bytes(photo)
    elif is_url(photo):
        raise PhotoError(f"{photo}: only the service fetches URLs; here the photo itself is needed")
    elif isinstance(photo, (str, os.PathLike)):
        return _read_path(photo)
    elif isinstance(photo, Image.Image) or is_array(photo):
        return to_png(to_picture(photo))
    elif hasattr(photo, "read"):
        return _read_file(cast("BinaryIO", photo))
    else:
        raise PhotoError(
            "a photo is a path, bytes, a file object, a PIL image, a numpy array or a URL,"
            f" not {type(photo).__name__}"
        )
    if not content:
        raise PhotoError("the photo is empty: 0 bytes")
    return content


def to_picture(photo: Photo) -> Image.Image:
    """The photo's pixels as the service sees them: upright, 8-bit grey or RGB, perhaps with alpha.

    Raises PhotoError.
    """
    picture = open_picture(photo)
    with decoding():
        picture = plain(upright(picture))
        picture.load()
    return picture


def open_picture(photo: Photo) -> Image.Image:
    """The picture as it is stored, which may be lying on its side; files are not decoded yet."""
    if isinstance(photo, Image.Image):
        return photo
    if is_array(photo):
        return from_array(photo)
    content = to_bytes(photo)
    with decoding():
        return Image.open(BytesIO(without_metadata(content)))


@contextmanager
def decoding() -> Iterator[None]:
    """Raise PhotoError for whatever Pillow's decoders raise, which has no common base class."""
    try:
        yield
    except (PhotoError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{error} Raise PIL.Image.MAX_IMAGE_PIXELS if you trust it.") from error
    except Exception as error:
        raise PhotoError(f"the photo cannot be decoded: {error}") from error


def to_png(picture: Image.Image) -> bytes:
    """A PNG file of a plain picture, with nothing but its pixels."""
    buffer = BytesIO()
    with decoding():
        # the network is faster than deflate
        picture.save(buffer, "PNG", compress_level=1, icc_profile=None, exif=b"")
    return buffer.getvalue()


def _read_path(path: str | os.PathLike[str]) -> bytes:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # the latter for a name with a zero byte
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise PhotoError(f"{os.fspath(path)}: {words}") from error
    if not content:
        raise PhotoError(f"{os.fspath(path)}: the file is empty")
    return content


def _read_file(file: BinaryIO) -> bytes:
    name = getattr(file, "name", "the file object")
    try:
        content: object = file.read()
    except UnicodeDecodeError:
        content = ""
    except Exception as error:  # whatever a caller's own object raises
        raise PhotoError(f"{name}: {error or type(error).__name__}") from error
    if isinstance(content, str):
        raise PhotoError(f"{name}: is open as text; open it with mode 'rb'")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise PhotoError(f"{name}: read() gave {type(content).__name__}, not bytes")
    if not content:
        raise PhotoError(f"{name}: nothing is left to read; seek(0) goes back to the start")
    return bytes(content)
