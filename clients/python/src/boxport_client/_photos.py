"""Every kind of photo that a caller may give, as the bytes of an image file or as an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageOps

from boxport_client._errors import PhotoError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Photo = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | BinaryIO
        | Image.Image
        | npt.NDArray[np.uint8]
    )
else:
    Photo = Any

PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
URL_SCHEMES = ("http://", "https://")


def is_url(photo: Photo) -> bool:
    """Whether the service is to fetch the photo itself."""
    return isinstance(photo, str) and photo[:8].lower().startswith(URL_SCHEMES)


def to_bytes(photo: Photo) -> bytes:
    """The bytes of an image file.

    Files and bytes go as they are, file objects from where they stand; pictures and arrays (uint8
    [H, W, 3] RGB, or [H, W] grey) become a PNG, which loses nothing. Raises PhotoError.
    """
    if isinstance(photo, bytes):
        content = photo
    elif isinstance(photo, (bytearray, memoryview)):
        content = bytes(photo)
    elif is_url(photo):
        raise PhotoError(f"{photo}: only the service fetches URLs; here the photo itself is needed")
    elif isinstance(photo, (str, os.PathLike)):
        return _read_path(photo)
    elif not isinstance(photo, Image.Image) and hasattr(photo, "read"):
        return _read_file(cast("BinaryIO", photo))
    else:
        return to_png(to_picture(photo))
    if not content:
        raise PhotoError("the photo is empty: 0 bytes")
    return content


def to_picture(photo: Photo) -> Image.Image:
    """A picture, upright as the service sees it: turned by its EXIF orientation.

    Raises PhotoError.
    """
    picture = open_picture(photo)
    with decoding():
        return ImageOps.exif_transpose(picture)


def open_picture(photo: Photo) -> Image.Image:
    """The picture as it is stored, which may be lying on its side; files are not decoded yet."""
    if isinstance(photo, Image.Image):
        return photo
    if not isinstance(photo, (str, os.PathLike, bytes, bytearray, memoryview)) and not hasattr(
        photo, "read"
    ):
        return _from_array(photo)
    content = to_bytes(photo)
    with decoding():
        return Image.open(BytesIO(content))


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
    """A PNG file of ``picture``, with nothing lost; modes that PNG lacks become RGB."""
    buffer = BytesIO()
    with decoding():  # a file that was opened by the caller may be decoded only now
        picture = picture if picture.mode in PNG_MODES else picture.convert("RGB")
        picture.save(buffer, "PNG", compress_level=1)  # the network is faster than deflate
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
    except (OSError, ValueError) as error:  # the latter for a file that is closed
        raise PhotoError(f"{name}: {error}") from error
    if isinstance(content, str):
        raise PhotoError(f"{name}: is open as text; open it with mode 'rb'")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise PhotoError(f"{name}: read() gave {type(content).__name__}, not bytes")
    if not content:
        raise PhotoError(f"{name}: nothing is left to read; seek(0) goes back to the start")
    return bytes(content)


def _from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    if not hasattr(array, "__array_interface__"):
        raise PhotoError(
            "a photo is a path, bytes, a file object, a PIL image, a numpy array or a URL,"
            f" not {type(array).__name__}"
        )
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if not is_image or str(array.dtype) != "uint8" or array.size == 0:
        raise PhotoError(
            "an array must be uint8 [height, width, 3] in RGB, or [height, width];"
            f" this one is {array.dtype} {list(array.shape)}"
        )
    return Image.fromarray(array)
