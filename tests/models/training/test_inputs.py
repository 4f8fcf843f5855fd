"""A photo becomes the input that the service makes of it, and its boxes go with it."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.augment import Augment, Loaded
from models.training.detection_task import batches_of_one_size
from models.training.inputs import input_size, photo_pixels, to_input, training_side
from models.variants import VARIANTS, at_size
from service.imaging.resize import to_input as service_input
from service.manifest import InputSpec

SIZES = [(500, 375), (375, 500), (640, 200), (331, 447), (1000, 997)]
VARYING = at_size(VARIANTS["retinanet_resnet18_fpn"], 256).input
COLOUR = (250, 40, 40)


def loaded(size: tuple[int, int], box: tuple[int, int, int, int]) -> Loaded:
    """Noise around a red rectangle."""
    width, height = size
    pixels = np.random.default_rng(0).integers(90, 160, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.paste(COLOUR, box)
    return image, torch.tensor([box], dtype=torch.float32), torch.tensor([0])


def seen(image: Image.Image) -> torch.Tensor:
    """The box around what is red."""
    pixels = np.asarray(image, dtype=int)
    rows, columns = ((pixels[..., 0] - pixels[..., 1] > 105).nonzero()[axis] for axis in (0, 1))
    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.tensor(np.array(corners), dtype=torch.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name", ["retinanet_resnet18_fpn", "tf_efficientdet_d0_ap", "retinanet_lite0"]
)
def test_an_input_is_the_services(name: str, size: tuple[int, int]) -> None:
    spec = at_size(VARIANTS[name], 256).input
    photo = loaded(size, (size[0] // 4, size[1] // 3, size[0] // 2, size[1] - 5))
    image, boxes, _ = to_input(photo, spec)
    expected = service_input(photo[0], spec)
    difference = np.abs(np.asarray(image, dtype=int) - expected.pixels)
    assert difference.max() <= 1
    assert image.size == input_size(size, spec)
    torch.testing.assert_close(boxes[0], seen(image), atol=1.5, rtol=0)
    back = expected.placement.undo(boxes.numpy())
    np.testing.assert_allclose(back, photo[1].numpy(), atol=1e-3)
    # how detections are scaled back, but for the last whole pixel
    np.testing.assert_allclose(boxes * photo_pixels(size, spec), photo[1], atol=max(size) / 128)


@pytest.mark.parametrize("size", SIZES[:3])
def test_views_have_the_services_scale_and_fill(size: tuple[int, int]) -> None:
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0).for_input(VARYING)
    box = (size[0] // 2 - 20, size[1] // 2 - 20, size[0] // 2 + 20, size[1] // 2 + 20)
    photo = loaded(size, box)
    whole, boxes, _ = to_input(photo, VARYING)
    side = training_side(VARYING)
    shown = 0
    for seed in range(10):
        view, found, _ = augment(*photo, side, random.Random(seed))
        assert view.size == (256, 256)
        for moved in found:
            shown += 1
            torch.testing.assert_close(moved, seen(view), atol=1.5, rtol=0)
            if (moved > 1).all() and (moved < side - 1).all():
                sides, expected = moved[2:] - moved[:2], boxes[0, 2:] - boxes[0, :2]
                torch.testing.assert_close(sides, expected, atol=0.5, rtol=0)
    assert shown >= 3
    if size == (640, 200):  # which leaves part of the square empty
        assert (np.asarray(view) == VARYING.fill).all(-1).mean() > 0.4
        assert whole.getpixel((0, whole.height - 1)) == VARYING.fill


def test_views_are_as_sharp_as_what_the_service_makes() -> None:
    """torchvision's detectors were trained without smoothing: stripes of a pixel stay as strong."""
    stripes = Image.fromarray(np.tile(np.array([[0, 255]], dtype=np.uint8), (900, 450)))
    photo = stripes.convert("RGB"), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.0, hue=0.0)
    smooth = augment(*photo, 256, random.Random(0))[0]
    sharp = augment.for_input(VARYING)(*photo, 256, random.Random(0))[0]
    expected = np.asarray(to_input(photo, VARYING)[0]).std()
    assert np.asarray(smooth).std() < 0.5 * expected
    assert np.asarray(sharp).std() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [("retinanet_resnet50_fpn_v2", 512, 512), ("efficientdet_d1", 640, 640), ("resnet18", 64, 64)],
)
def test_the_side_that_is_trained_on_is_the_size_that_is_asked_for(
    name: str, size: int, side: int
) -> None:
    assert training_side(at_size(VARIANTS[name], size).input) == side


def test_an_input_that_does_not_vary_has_one_size() -> None:
    spec: InputSpec = VARIANTS["efficientdet_lite0"].input
    assert {input_size(size, spec) for size in SIZES} == {(320, 320)}
    assert len({input_size(size, VARYING) for size in SIZES}) == 4
    assert all(side % 32 == 0 for size in SIZES for side in input_size(size, VARYING))


def test_batches_are_of_one_size_and_have_every_photo_once() -> None:
    sizes = [(1, 1), (2, 2), (1, 1), (1, 1), (2, 2)]
    assert batches_of_one_size(sizes, 2) == [[0, 2], [3], [1, 4]]
    assert batches_of_one_size([(1, 1)] * 5, 3) == [[0, 1, 2], [3, 4]]
