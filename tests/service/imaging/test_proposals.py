"""Selective search, where OpenCV has it."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from service.imaging.files import read_image
from service.imaging.proposals import MAX_PROPOSALS, NoProposals, propose


def plain_opencv() -> ModuleType:
    """OpenCV without the contrib modules."""
    module = ModuleType("cv2")
    vars(module)["setRNGSeed"] = lambda seed: None
    return module


@pytest.mark.parametrize("opencv", [None, plain_opencv()], ids=["none", "plain"])
def test_without_contrib_modules_it_is_said_what_to_install(
    opencv: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # cv2 itself must be replaced: as it loads, it puts its submodules into sys.modules
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    monkeypatch.setitem(sys.modules, "cv2.ximgproc", None)
    monkeypatch.setitem(sys.modules, "cv2.ximgproc.segmentation", None)
    with pytest.raises(NoProposals, match="install opencv-contrib-python-headless"):
        propose(np.zeros((20, 20, 3), np.uint8))


def test_objects_are_among_the_regions(photos: Path) -> None:
    missing = "opencv-contrib-python-headless is missing"
    segmentation = pytest.importorskip("cv2.ximgproc.segmentation", reason=missing)
    # plain OpenCV installed over the contrib package leaves folders that import as empty modules
    if not hasattr(segmentation, "createSelectiveSearchSegmentation"):
        pytest.skip(missing)
    pixels = np.asarray(read_image(photos / "coffee.jpg"))
    height, width = pixels.shape[:2]
    boxes = propose(pixels)
    assert boxes.dtype == np.float32
    assert 20 < len(boxes) <= MAX_PROPOSALS
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (width, height)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert (np.diff(areas) <= 1e-2 * areas[0]).all()  # the largest first
    np.testing.assert_array_equal(propose(pixels), boxes)
    np.testing.assert_array_equal(propose(pixels, 7), boxes[:7])
