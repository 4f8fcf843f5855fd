"""From the bytes of an image file to what a model reads."""

from PIL import Image

from service.imaging.images import decode_smaller, orientation_of, to_rgb
from service.imaging.resize import ModelInput, Photo, least_size, to_input
from service.manifest import InputSpec

# EXIF orientations that swap width and height, and those that put the stored right side or bottom
# at the left or the top.
SIDEWAYS = (5, 6, 7, 8)
FROM_LEFT = (2, 3, 6, 7)
FROM_TOP = (3, 4, 7, 8)


def prepare(
    image: Image.Image, spec: InputSpec, *, reduce: bool = True, exact: bool = False
) -> ModelInput:
    """An open image (`service.imaging.images.open_image`) decoded, turned upright and resized.

    reduce: whether a large JPEG may be decoded smaller than it is. exact: whether it is to be
    resized by Pillow (`service.imaging.resampling`).

    Raises what Pillow raises on damaged bytes.
    """
    least = least_size(image.size, spec) if reduce else image.size
    return to_input(decode_to(image, least), spec, exact=exact)


def decode_to(image: Image.Image, least: tuple[int, int]) -> Photo:
    """A photo, decoded at ``least`` (width, height as stored) or larger, and turned upright.

    If a side is not a multiple of the reduction, the last decoded pixel along it stands for fewer
    of the photo's pixels than the others; in a photo that EXIF turns it can be the first.
    """
    orientation = orientation_of(image)
    size = image.size
    shrink = decode_smaller(image, least)
    if orientation in SIDEWAYS:
        size = size[::-1]
    upright = to_rgb(image)
    return Photo(
        upright,
        *size,
        shrink,
        left=upright.width - size[0] / shrink if orientation in FROM_LEFT else 0.0,
        top=upright.height - size[1] / shrink if orientation in FROM_TOP else 0.0,
    )
