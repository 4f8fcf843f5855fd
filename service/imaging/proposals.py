"""Region proposals: where in a photo something may be, whatever it is.

Selective search (Uijlings et al., IJCV 2013), which R-CNN takes them from, by OpenCV's contrib
modules. These are a group of packages of their own, `proposals`.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

# A photo is searched at this size: its regions are found in a tenth of the time that the 500 pixels
# of PASCAL VOC's take, and warped to less than that in any case.
SEARCHED_SIDE = 200
SMALLEST = 0.04  # of the photo's longer side; what is smaller is mostly texture
MAX_PROPOSALS = 500  # of a photo


class NoProposals(Exception):
    """Nothing here proposes regions; the message says what would."""


def check_proposals() -> None:
    """Raise NoProposals without OpenCV's contrib modules."""
    try:
        from cv2.ximgproc.segmentation import createSelectiveSearchSegmentation  # noqa: F401
    except ImportError:
        raise NoProposals(
            "nothing here proposes regions: install opencv-contrib-python-headless (the group"
            " `proposals` of pyproject.toml)"
        ) from None


def propose(pixels: npt.NDArray[np.uint8], most: int = MAX_PROPOSALS) -> npt.NDArray[np.float32]:
    """Up to ``most`` boxes float32 [R, 4], xyxy in the pixels of a photo uint8 [H, W, 3],
    largest first; the same in every call.

    Raises NoProposals as `check_proposals` does.
    """
    check_proposals()
    from cv2 import setRNGSeed
    from cv2.ximgproc.segmentation import createSelectiveSearchSegmentation

    height, width = pixels.shape[:2]
    scale = min(1.0, SEARCHED_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    search = createSelectiveSearchSegmentation()
    search.setBaseImage(np.asarray(image)[:, :, ::-1].copy())  # in OpenCV's order of channels
    search.switchToSelectiveSearchFast()
    setRNGSeed(0)
    found = np.unique(np.asarray(search.process()).reshape(-1, 4), axis=0)  # x, y, width, height
    least = SMALLEST * max(size)
    found = found[(found[:, 2:] >= least).all(axis=1)]
    # of more than are wanted the larger ones: small segments are many
    found = found[np.argsort(-found[:, 2] * found[:, 3], kind="stable")][:most]
    corners = np.concatenate((found[:, :2], found[:, :2] + found[:, 2:]), axis=1)
    factors = np.array([width / size[0], height / size[1]] * 2)
    boxes: npt.NDArray[np.float32] = (corners * factors).astype(np.float32)
    return boxes
