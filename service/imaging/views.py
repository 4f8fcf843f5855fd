"""What a companion reads of a photo: the part of a model's input that shows it, made small."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from service.imaging.input_spec import Stretch
from service.imaging.resize import RESAMPLING, ModelInput, resample


def view_of(image: ModelInput, spec: Stretch) -> npt.NDArray[np.uint8]:
    """What of ``image`` shows the photo, without what it leaves empty, as an input uint8 [H, W, 3]
    of ``spec``.

    It is made of the input, and not of the photo: so nothing is decoded twice, what is judged is
    what the model sees, and tensors that are sent in place of photos are judged as well.
    """
    place = image.placement
    height, width = image.pixels.shape[:2]
    left, top = max(0, place.left), max(0, place.top)
    right = min(width, round(place.left + place.width * place.scale_x))
    bottom = min(height, round(place.top + place.height * place.scale_y))
    # cut first: a filter would mix in what lies beside the photo
    photo = Image.fromarray(np.ascontiguousarray(image.pixels[top:bottom, left:right]))
    sides, method = (spec.width, spec.height), RESAMPLING[spec.interpolation]
    view = resample(photo, sides, method, (0, 0, *photo.size))
    return np.asarray(view, dtype=np.uint8)
