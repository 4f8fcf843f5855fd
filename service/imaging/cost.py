"""What decoding an image takes of memory, by its header.

The figures are measured, at the peak, from the header to the model's input
(`tests/service/imaging/test_cost.py`): the decoder's own memory, the decoded pixels, and those in
RGB or turned upright.
"""

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from service.imaging import tiff
from service.imaging.input_spec import InputSpec, WholeInput
from service.imaging.resize import BAND_PIXELS, least_size
from service.imaging.structure import ImageFile

# Bytes of a pixel, by Pillow's mode: as decoded, and as RGB, which takes 4.
OF_MODE = {"1": 5, "L": 5, "P": 5, "I;16": 6, "I;16B": 6, "I;16L": 6}
OF_OTHER_MODES = 8
# Of formats whose decoders hold the picture too, whatever its mode: WebP two canvases and a copy;
# AVIF and HEIF planes, of 16 bits for depths of 10 and 12; TIFF a strip, which can be the whole.
OF_FORMAT = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "TIFF": 12}
OF_COEFFICIENT = 2  # a JPEG of several scans has one for each sample
OF_RGB = 4
OF_WHOLE = 3  # of the photo itself, beside what it was decoded to
OF_PLAIN_RESIZE = 6  # without antialias: twice the samples
OF_BAND = 32  # while some rows become RGB
FILE_COPIES = 2  # beside the body itself

MOST = 16  # for each pixel, of any image


def decoding_bytes(
    image: Image.Image, file: ImageFile, spec: InputSpec | None, *, reduce: bool = True
) -> int:
    """Bytes that `prepare` takes at its peak, of the open ``image`` of ``file``."""
    pixels = decoded = image.width * image.height
    if isinstance(image, JpegImageFile):
        decoded = pixels // _reduction(image.size, spec) ** 2 if reduce else pixels
        needed = OF_OTHER_MODES * decoded
        if file.has_coefficients:
            samples = OF_COEFFICIENT * image.layers * pixels
            needed = max(needed, samples + OF_RGB * decoded)
    else:
        if isinstance(image, TiffImageFile):
            width, height = tiff.tile_size(image.tag_v2)
            pixels = max(pixels, width * height)
        of_mode = OF_MODE.get(image.mode, OF_OTHER_MODES)
        needed = max(of_mode, OF_FORMAT.get(image.format or "", 0)) * pixels
    if isinstance(spec, WholeInput) and not spec.antialias:
        needed = max(needed, (OF_MODE.get(image.mode, OF_OTHER_MODES) + OF_PLAIN_RESIZE) * decoded)
    if spec is None:
        needed = max(needed, (OF_RGB + OF_WHOLE) * decoded)
    return needed + OF_BAND * min(decoded, BAND_PIXELS) + FILE_COPIES * len(file.content)


def worst_bytes(pixels: int, file_bytes: int) -> int:
    """Bytes that any image of so many pixels takes at its peak, in a file of so many bytes."""
    return MOST * pixels + OF_BAND * BAND_PIXELS + FILE_COPIES * file_bytes


def _reduction(size: tuple[int, int], spec: InputSpec | None) -> int:
    """By which Pillow's `draft` decodes a JPEG smaller."""
    least = least_size(size, spec)
    most = min(size[0] // least[0], size[1] // least[1])
    return next(scale for scale in (8, 4, 2, 1) if most >= scale)
