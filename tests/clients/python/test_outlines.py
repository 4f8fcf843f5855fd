"""Outlines come back from the service, are drawn, and become masks and COCO's polygons."""

from __future__ import annotations

import numpy as np
import pytest
from boxport_client import Box, Detection, DetectionResult, ModelReference, coco_dataset
from boxport_client._palette import label_colour
from boxport_client._shrinking import rescaled
from boxport_client._tiling import merge
from PIL import Image
from pycocotools import mask as coco_mask

SQUARE = ((10.0, 20.0), (10.0, 60.0), (50.0, 60.0), (50.0, 20.0))
TRIANGLE = ((10.5, 20.0), (10.5, 60.0), (50.5, 60.0))
GREY = (90, 90, 90)
CAT = 8


def cat(contour: tuple[tuple[float, float], ...] | None = SQUARE, score: float = 0.9) -> Detection:
    return Detection(Box(10, 20, 50, 60), score, "cat", CAT, contour=contour)


def result(*detections: Detection) -> DetectionResult:
    model = ModelReference("m", "1", "0" * 64)
    return DetectionResult(100, 80, detections, model, "r", {})


def test_a_contour_survives_a_dict_and_is_absent_without_one() -> None:
    assert Detection.from_dict(cat().to_dict()) == cat()
    assert cat().to_dict()["contour"] == [list(vertex) for vertex in SQUARE]
    assert "contour" not in cat(None).to_dict()
    assert Detection.from_dict(cat(None).to_dict()).contour is None


def test_a_mask_has_the_pixels_inside() -> None:
    mask = np.asarray(cat().mask((100, 80)))
    assert mask.shape == (80, 100)
    assert mask[20:60, 10:50].min() == 255
    assert (mask > 0).sum() == pytest.approx(1600, abs=90)
    own = cat().mask()
    assert (own.mode, own.size) == ("L", (40, 40))
    np.testing.assert_array_equal(np.asarray(own), mask[20:60, 10:50])
    with pytest.raises(ValueError, match="no contour"):
        cat(None).mask()


def test_a_mask_is_as_large_as_the_crop() -> None:
    photo = Image.new("RGB", (100, 80))
    found = Detection(Box(10.4, 20.6, 50.2, 59.1), 0.9, "cat", CAT, contour=TRIANGLE)
    assert found.mask().size == found.crop(photo).size


def test_a_mask_is_nearly_pycocotools_own() -> None:
    rng = np.random.default_rng(0)
    turns = np.sort(rng.uniform(0, 2 * np.pi, 64))
    radii = rng.uniform(20, 30, 64)
    points = np.stack((50 + radii * np.cos(turns), 40 + radii * np.sin(turns)), axis=1)
    contour = tuple((float(x), float(y)) for x, y in points)
    own = coco_mask.encode(np.asfortranarray(cat(contour).mask((100, 80))))
    theirs = coco_mask.merge(coco_mask.frPyObjects([points.ravel().tolist()], 80, 100))
    assert coco_mask.iou([own], [theirs], [0])[0, 0] > 0.9  # Pillow's has the edge's pixels too


def test_coco_has_the_polygon_and_its_area() -> None:
    first, second = result(cat(TRIANGLE), cat(None)).to_coco(1)
    assert first["segmentation"] == [[10.5, 20.0, 10.5, 60.0, 50.5, 60.0]]
    assert first["area"] == 800
    assert "segmentation" not in second
    assert second["area"] == 1600
    assert coco_dataset({"a.jpg": result(cat(TRIANGLE))})["annotations"] == [first]


def test_an_outline_is_drawn_along_its_edge_and_filled_within() -> None:
    photo = Image.new("RGB", (100, 80), GREY)
    plain = np.asarray(result(cat(TRIANGLE)).draw(photo, labels=False, line_width=2))
    colour = np.array(label_colour(CAT))
    assert (plain[40, 30] == colour).all()  # on the long edge, inside the box
    assert (plain[55, 20] == GREY).all()  # within
    assert (plain[25, 45] == GREY).all()  # in the box, and beyond the outline
    filled = np.asarray(result(cat(TRIANGLE)).draw(photo, labels=False, line_width=2, alpha=0.5))
    assert (filled[55, 20] != GREY).any()
    assert (filled[25, 45] == GREY).all()
    boxes = np.asarray(result(cat(None)).draw(photo, labels=False, line_width=2, alpha=0.5))
    assert (boxes[25, 45] != GREY).any()


def test_contours_follow_a_shrunk_photo_and_tiles() -> None:
    (larger,) = rescaled((cat(),), (100, 80), (200, 240))
    assert larger.contour == ((20, 60), (20, 180), (100, 180), (100, 60))
    (moved,) = merge([(Box(5, 7, 105, 87), [cat()])], (105, 87), 0.5, 10, False)
    assert moved.contour == ((15, 27), (15, 67), (55, 67), (55, 27))
    (bare,) = merge([(Box(5, 7, 105, 87), [cat(None)])], (105, 87), 0.5, 10, False)
    assert bare.contour is None
