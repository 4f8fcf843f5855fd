"""Photos made smaller before they are sent, and boxes scaled back to the original's pixels.

A model sees a photo at a few hundred pixels a side, so most pixels of a large one are sent in vain;
but small objects may be lost with them, so this is done only on request.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from boxport_client._boxes import Box
from boxport_client._detections import Detection
from boxport_client._photos import Photo, decoding, is_array, open_picture, to_bytes, to_png
from boxport_client._pixels import TRANSPARENT_MODES, plain, upright, upright_size
from boxport_client._results import DetectionResult

JPEG_QUALITY = 90
# Pillow may skip that part of a JPEG's decoding which is lost in the resizing anyway.
REDUCING_GAP = 2.0


class Shrunk(NamedTuple):
    """A photo as it is sent, and the (width, height) of the original, upright."""

    content: bytes
    size: tuple[int, int]


def shrink(photo: Photo, max_side: int) -> Shrunk:
    """``photo`` with neither side above ``max_side`` pixels; as it is, if neither is above.

    The EXIF orientation is applied. What is made smaller is sent as JPEG of quality 90, or as PNG
    if parts are transparent. Raises PhotoError.
    """
    given = photo if isinstance(photo, Image.Image) or is_array(photo) else to_bytes(photo)
    picture = open_picture(given)
    with decoding():
        size = upright_size(picture)
        if max(size) <= max_side:
            return Shrunk(to_bytes(given), size)
        if picture.format != "JPEG":  # which alone can be decoded smaller than it is
            picture = upright(picture)
        small = plain(picture)
        small = small.copy() if small is photo else small
        small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, REDUCING_GAP)
        return Shrunk(to_compact(upright(small)), size)


def fit(picture: Image.Image, max_side: int | None) -> Image.Image:
    """A copy with neither side above ``max_side`` pixels; ``picture`` itself if it has none.

    picture: plain, as `to_picture` gives it.
    """
    if max_side is None or max(picture.size) <= max_side:
        return picture
    with decoding():
        small = picture.copy()
        small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return small


def to_compact(picture: Image.Image) -> bytes:
    """A small file of a plain picture: JPEG of quality 90, or PNG if parts may be transparent."""
    if picture.mode in TRANSPARENT_MODES:
        return to_png(picture)
    buffer = BytesIO()
    with decoding():
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, comment=b"")
    return buffer.getvalue()


def rescaled(
    detections: tuple[Detection, ...], sent: tuple[int, int], size: tuple[int, int]
) -> tuple[Detection, ...]:
    """Detections in an image of (width, height) ``sent``, in the pixels of one of ``size``."""
    if sent == size:
        return detections
    width, height = size
    x_scale, y_scale = width / sent[0], height / sent[1]
    return tuple(
        replace(
            detection,
            box=Box(
                min(detection.box.left * x_scale, width),
                min(detection.box.top * y_scale, height),
                min(detection.box.right * x_scale, width),
                min(detection.box.bottom * y_scale, height),
            ),
            contour=detection.contour
            and tuple(
                (min(x * x_scale, width), min(y * y_scale, height)) for x, y in detection.contour
            ),
        )
        for detection in detections
    )


def restored(result: DetectionResult, size: tuple[int, int]) -> DetectionResult:
    """The result on a shrunk photo as that on the original, of (width, height) ``size``."""
    width, height = size
    boxes = rescaled(result.detections, (result.width, result.height), size)
    return replace(result, width=width, height=height, detections=boxes)
