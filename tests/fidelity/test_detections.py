"""From one photo to the same detections: post-processing, and pre-processing with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from export.onnx.graph import Normalise, build_graph
from models.boxes import box_iou
from models.rpn import ProposalSettings
from models.variants import VARIANTS, at_size
from service.imaging.input_spec import InputSpec
from service.imaging.resize import to_input
from tests.fidelity.measure import pair
from tests.fidelity.oracles import DetBenchPredict, GeneralizedRCNNTransform, ResizePad

BOX_TOLERANCE = 0.5  # pixels of the photo
SCORE_TOLERANCE = 0.01
SMALL = 128  # pixels of a side


@dataclass(frozen=True)
class Detections:
    """Boxes [D, 4] xyxy, scores [D] descending, and labels [D] that count from 0."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def ours(network: nn.Module, spec: InputSpec, pixels: np.ndarray, **settings: float) -> Detections:
    """What our graph finds in one input [H, W, 3], in the input's pixels."""
    graph = build_graph(network, spec)
    with torch.no_grad():
        numbers, boxes, scores, labels = graph(
            torch.tensor(pixels)[None],
            torch.tensor(settings["score_threshold"]),
            torch.tensor(0.5),
            torch.tensor(int(settings["max_detections"])),
        )
    count = int(numbers[0])
    return Detections(boxes[0, :count], scores[0, :count], labels[0, :count])


def identical(one: Detections, other: Detections) -> None:
    assert len(one.scores) == len(other.scores) > 10
    torch.testing.assert_close(one.scores, other.scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.labels, other.labels)
    torch.testing.assert_close(one.boxes, other.boxes, atol=0.01, rtol=0)


@pytest.mark.parametrize("variant", ["tf_efficientdet_d0", "efficientdet_lite0"])
def test_efficientdet_gives_effdets_detections(variant: str) -> None:
    size = 256
    network, oracle, *_ = pair(variant, size)
    spec, pixels, images = read_cat(variant, size)
    with torch.no_grad():
        rows = DetBenchPredict(oracle)(
            images,
            {"img_scale": torch.ones(1), "img_size": torch.full((1, 2), float(size))},
        )[0]
    rows = rows[rows[:, 4] > 0.05]
    expected = Detections(rows[:, :4], rows[:, 4], rows[:, 5].to(torch.int64) - 1)
    identical(ours(network, spec, pixels, score_threshold=0.05, max_detections=100), expected)


@pytest.mark.parametrize(
    "variant",
    [
        "retinanet_resnet18_fpn",
        "retinanet_resnet50_fpn_v2",
        pytest.param("fasterrcnn_resnet50_fpn", marks=pytest.mark.full),
    ],
)
def test_torchvisions_detectors_give_its_detections(variant: str) -> None:
    agree_on_a_photo(variant, *pair(variant, SMALL)[:2])


def test_torchvisions_faster_rcnn_gives_its_detections_of_fewer_proposals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenth of its own number, since a second stage costs as much for each."""
    variant, number = "fasterrcnn_resnet50_fpn", 100
    network, oracle, *_ = pair(variant, SMALL)
    monkeypatch.setattr(network.rpn, "proposals", ProposalSettings(number=number))
    monkeypatch.setattr(oracle.rpn, "_post_nms_top_n", {"testing": number})
    agree_on_a_photo(variant, network, oracle)


def agree_on_a_photo(variant: str, network: nn.Module, oracle: nn.Module) -> None:
    spec, pixels, images = read_cat(variant, SMALL)
    found = torchvision_detections(variant, oracle, images[0], SMALL)
    limit = 100 if variant.startswith("fasterrcnn") else 300  # torchvision's own
    identical(ours(network, spec, pixels, score_threshold=0.05, max_detections=limit), found)


def torchvision_detections(variant: str, oracle: nn.Module, image: Tensor, size: int) -> Detections:
    """What the public model finds in a normalised image [3, H, W] that needs no resizing."""
    longest = max(image.shape)
    # sides are multiples of 32 already
    oracle.transform = GeneralizedRCNNTransform(
        min(image.shape[1:]), longest, image_mean=[0.0] * 3, image_std=[1.0] * 3
    ).eval()
    with torch.no_grad():
        found = oracle([image])[0]
    background = 1 if variant.startswith("fasterrcnn") else 0
    return Detections(found["boxes"], found["scores"], found["labels"] - background)


def read_cat(variant: str, size: int) -> tuple[InputSpec, np.ndarray, Tensor]:
    """How ``variant`` reads a photo at ``size``, what our graph reads of it [H, W, 3], and the same
    as the public network does, normalised [1, 3, H, W]."""
    spec = at_size(VARIANTS[variant], size).input
    pixels = read_pixels(spec, Path("docs/photos/cat.jpg"))
    return spec, pixels, Normalise(spec)(torch.tensor(pixels)[None])


def read_pixels(spec: InputSpec, path: Path) -> np.ndarray:
    return to_input(Image.open(path).convert("RGB"), spec, exact=True).pixels


PHOTOS = ("cat.jpg", "astronaut.jpg", "photographer.jpg", "rocket.jpg")
# A letterbox alone costs little; these go through two whole networks.
DETECTED = ["cat.jpg", *(pytest.param(name, marks=pytest.mark.full) for name in PHOTOS[1:])]


@pytest.mark.parametrize("photo_name", DETECTED)
@pytest.mark.parametrize("variant", ["tf_efficientdet_d0", "efficientdet_lite0"])
def test_a_photo_through_effdets_transform_and_ours(
    variant: str, photo_name: str, photos: Path
) -> None:
    photo = square(Image.open(photos / photo_name).convert("RGB"))
    spec = VARIANTS[variant].input
    network, oracle, *_ = pair(variant, spec.height)
    resized, note = ResizePad(spec.height, "bilinear", spec.fill)(photo, {})
    image = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (spec.mean, spec.std))
    scale = torch.tensor([note["img_scale"]], dtype=torch.float32)
    size = torch.tensor([photo.size], dtype=torch.float32)
    with torch.no_grad():
        rows = DetBenchPredict(oracle)((image - mean) / std, {"img_scale": scale, "img_size": size})
    found = rows[0][rows[0, :, 4] > 0.06]
    expected = Detections(found[:, :4], found[:, 4], found[:, 5].to(torch.int64) - 1)
    agree(in_photo(network, spec, photo, 0.04), expected)


@pytest.mark.parametrize("photo_name", DETECTED)
def test_a_photo_through_torchvisions_transform_and_ours(photo_name: str, photos: Path) -> None:
    variant, size = "retinanet_resnet18_fpn", 256
    photo = Image.open(photos / photo_name).convert("RGB")
    network, oracle, *_ = pair(variant, size)
    spec = at_size(VARIANTS[variant], size).input
    oracle.transform = GeneralizedRCNNTransform(
        spec.shorter_side, spec.longer_side, list(spec.mean), list(spec.std)
    ).eval()
    image = torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255
    with torch.no_grad():
        found = oracle([image])[0]
    clear = found["scores"] > 0.06
    expected = Detections(*(found[name][clear] for name in ("boxes", "scores", "labels")))
    agree(in_photo(network, spec, photo, 0.04), expected)


def square(photo: Image.Image) -> Image.Image:
    """The photo's upper left square, which leaves no part of the input empty. In an empty part
    random weights find as much as in the photo, and effdet clips that away before suppression; so
    the letterbox is compared pixel by pixel, in the next test."""
    side = min(photo.size)
    return photo.crop((0, 0, side, side))


@pytest.mark.parametrize("photo_name", PHOTOS)
@pytest.mark.parametrize("variant", ["tf_efficientdet_d0", "efficientdet_lite0"])
def test_letterbox_is_effdets_to_the_pixel(variant: str, photo_name: str, photos: Path) -> None:
    photo = Image.open(photos / photo_name).convert("RGB")
    spec = VARIANTS[variant].input
    expected, _ = ResizePad(spec.height, "bilinear", spec.fill)(photo, {})
    found = to_input(photo, spec, exact=True).pixels
    np.testing.assert_array_equal(found, np.asarray(expected))


def in_photo(
    network: nn.Module, spec: InputSpec, photo: Image.Image, score_threshold: float
) -> Detections:
    model_input = to_input(photo, spec, exact=True)
    found = ours(
        network, spec, model_input.pixels, score_threshold=score_threshold, max_detections=300
    )
    boxes = torch.from_numpy(model_input.placement.undo(found.boxes.numpy()))
    return Detections(boxes, found.scores, found.labels)


def agree(found: Detections, expected: Detections) -> None:
    """Each expected detection has a match; near the threshold, or where two boxes of like scores
    suppress each other, one of two may be the one that stays."""
    assert len(expected.scores) > 5
    overlaps = box_iou(expected.boxes, found.boxes)
    overlaps = overlaps * (expected.labels[:, None] == found.labels[None, :])
    nearest = overlaps.argmax(dim=1)
    matched = overlaps.amax(dim=1) > 0.9
    assert matched.float().mean() > 0.97
    boxes = (found.boxes[nearest] - expected.boxes).abs().amax(dim=1)[matched]
    scores = (found.scores[nearest] - expected.scores).abs()[matched]
    assert boxes.max() < BOX_TOLERANCE
    assert scores.max() < SCORE_TOLERANCE
