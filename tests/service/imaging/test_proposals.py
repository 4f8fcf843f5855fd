"""Selective search, where OpenCV has it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from service.imaging.files import read_image
from service.imaging.proposals import MAX_PROPOSALS, NoProposals, propose


def test_without_opencv_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2.ximgproc.segmentation", None)
    with pytest.raises(NoProposals, match="install opencv-contrib-python-headless"):
        propose(np.zeros((20, 20, 3), np.uint8))


def test_objects_are_among_the_regions(photos: Path) -> None:
    segmentation = "cv2.ximgproc.segmentation"
    pytest.importorskip(segmentation, reason="opencv-contrib-python-headless is missing")
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
