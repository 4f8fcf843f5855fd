"""Whatever a caller calls a photo, as the bytes of an image file or as an upright picture."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from PIL import Image, ImageOps

from boxport_client.errors import PhotoError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Photo = Union[
        str, "os.PathLike[str]", bytes, bytearray, memoryview, Image.Image, npt.NDArray[np.uint8]
    ]
else:
    Photo = Any

PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


def to_bytes(photo: Photo) -> bytes:
    """The bytes of an image file.

    Files and bytes go as they are; pictures and arrays (uint8 [H, W, 3] RGB, or [H, W] grey) become
    a PNG, which loses nothing. Raises PhotoError.
    """
    if isinstance(photo, (bytes, bytearray, memoryview)):
        content = bytes(photo)
        if not content:
            raise PhotoError("the photo is empty: 0 bytes")
        return content
    if isinstance(photo, (str, os.PathLike)):
        return _read(photo)
    return _to_png(to_picture(photo))


def to_picture(photo: Photo) -> Image.Image:
    """A picture, upright as the service sees it: turned by its EXIF orientation."""
    if isinstance(photo, Image.Image):
        return ImageOps.exif_transpose(photo)
    if not isinstance(photo, (str, os.PathLike, bytes, bytearray, memoryview)):
        return _from_array(photo)
    try:
        with Image.open(BytesIO(to_bytes(photo))) as picture:
            return ImageOps.exif_transpose(picture)
    except OSError as error:
        raise PhotoError(f"the photo cannot be decoded: {error}") from error


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"{os.fspath(path)}: {error.strerror}") from error
    if not content:
        raise PhotoError(f"{os.fspath(path)}: the file is empty")
    return content


def _from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    if not hasattr(array, "__array_interface__"):
        raise PhotoError(
            f"a photo is a path, bytes, a PIL image or a numpy array, not {type(array).__name__}"
        )
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if not is_image or str(array.dtype) != "uint8" or array.size == 0:
        raise PhotoError(
            "an array must be uint8 [height, width, 3] in RGB, or [height, width];"
            f" this one is {array.dtype} {list(array.shape)}"
        )
    return Image.fromarray(array)


def _to_png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture = picture if picture.mode in PNG_MODES else picture.convert("RGB")
    picture.save(buffer, "PNG", compress_level=1)  # the network is fast, the deflating is not
    return buffer.getvalue()
