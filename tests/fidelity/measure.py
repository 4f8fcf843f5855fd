"""One row of the fidelity table: a variant beside its public implementation."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from export.onnx.graph import Normalise
from models.anchors import AnchorGenerator
from models.variants import VARIANTS, at_size
from models.weights import load_into
from service.imaging.files import read_photo
from tests.fidelity.oracles import (
    Anchors,
    ImageList,
    build_oracle,
    decode_box_outputs,
    num_classes,
    seeded_state,
)

PHOTO = Path("docs/photos/cat.jpg")
# The layer of each public detector that gives class logits.
CLASS_LAYERS = {
    "efficientdet": "class_net.predict.conv_pw",
    "retinanet": "head.classification_head.cls_logits",
    "fasterrcnn": "roi_heads.box_predictor.cls_score",
}
BOX_LAYERS = {
    "class_net.predict.conv_pw": "box_net.predict.conv_pw",
    "head.classification_head.cls_logits": "head.regression_head.bbox_reg",
}
FOUND, SCORE = 150, 0.05
CLASS_SPREAD = 3.0
DELTA_SPREAD = 0.1  # what Fast R-CNN found of trained boxes, and divides its deltas by


@dataclass(frozen=True)
class Row:
    """What was found for a variant.

    logits, boxes: greatest differences of raw class outputs, and of decoded boxes in pixels.
    gmacs: multiply-adds of one image of the variant's own size, in thousand millions.
    """

    variant: str
    family: str
    tensors: int
    parameters: int
    oracle_parameters: int
    gmacs: float | None
    logits: float
    boxes: float | None


def measure(variant: str) -> Row:
    """Compare ``variant`` with its oracle on a photo at a small size."""
    size = small_size(variant)
    ours, oracle, family, tensors = pair(variant, size)
    with torch.no_grad():
        logits, boxes = compare(variant, ours, oracle, photo_input(variant, size))
    return Row(
        variant=variant,
        family=family,
        tensors=tensors,
        parameters=count_parameters(ours),
        oracle_parameters=count_parameters(oracle),
        gmacs=count_gmacs(variant),
        logits=logits,
        boxes=boxes,
    )


@lru_cache(maxsize=1)  # for tests of several photos, one after the other
def pair(variant: str, size: int) -> tuple[nn.Module, nn.Module, str, int]:
    """Ours and the oracle with the same seeded weights, loaded by key into ours."""
    with unfilled():
        oracle = build_oracle(variant, size).eval()
        ours = VARIANTS[variant].build(num_classes(variant)).eval()
    state = seeded_state(oracle)
    oracle.load_state_dict(state)
    load_into(ours, state, variant)
    calibrate(variant, ours, state, photo_input(variant, size))
    oracle.load_state_dict(state)
    recognised = load_into(ours, state, variant)
    return ours, oracle, recognised.family, recognised.tensors


@contextmanager
def unfilled() -> Iterator[None]:
    """Weights of networks that are built meanwhile are not drawn: others replace them all, and to
    draw hundreds of millions takes longer than to run them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"):
            patch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        yield


def calibrate(variant: str, network: nn.Module, state: dict[str, Tensor], images: Tensor) -> None:
    """Scale the class layer in ``state`` so that random weights detect as trained ones do: about
    `FOUND` pairs of anchor and class score above `SCORE`, all others below, and boxes lie near
    their anchors. A classifier comes to prefer some classes."""
    if VARIANTS[variant].task == "classification":
        last = next(
            key for key in reversed(state) if state[key].shape[:1] == (num_classes(variant),)
        )
        with torch.no_grad():
            state[last.replace("bias", "weight")] *= CLASS_SPREAD / network(images).std()
        return
    layer = next(name for part, name in CLASS_LAYERS.items() if part in variant)
    with torch.no_grad():
        logits, deltas = network(images)[:2]
    if variant.startswith("fasterrcnn"):  # a softmax: a wider spread is enough
        state[f"{layer}.weight"] *= 2 / logits.std()
        return
    state[f"{BOX_LAYERS[layer]}.weight"] *= DELTA_SPREAD / deltas.std()
    factor = 1 / logits.std()
    last = logits.flatten().topk(FOUND).values[-1] * factor
    state[f"{layer}.weight"] *= factor
    state[f"{layer}.bias"] *= factor
    state[f"{layer}.bias"] += math.log(SCORE / (1 - SCORE)) - last


def small_size(variant: str) -> int:
    """Pixels of a side, few enough to be quick and enough for every level of the pyramid."""
    if variant.startswith("vgg"):
        return 224  # its pooling to 7 x 7 cells is the identity there
    return 256 if variant.endswith("d7x") else 128


def photo_input(variant: str, size: int, path: Path = PHOTO) -> Tensor:
    """A photo [1, 3, H, W] as ``variant`` reads it, normalised, at ``size``."""
    spec = at_size(VARIANTS[variant], size).input
    pixels = read_photo(path, spec).pixels
    return Normalise(spec)(torch.tensor(pixels)[None])


def compare(
    variant: str, ours: nn.Module, oracle: nn.Module, images: Tensor
) -> tuple[float, float | None]:
    """Greatest difference of the class outputs, and of the decoded boxes of a detector."""
    if VARIANTS[variant].task == "classification":
        return difference(ours(images), oracle(images)), None
    if variant.startswith("fasterrcnn"):
        return compare_regions(ours, oracle, images)
    logits, deltas = ours(images)
    outputs = effdet_outputs if "efficientdet" in variant else torchvision_outputs
    expected_logits, expected_boxes = outputs(oracle, images)
    anchors = AnchorGenerator(ours.anchors).over_input(*images.shape[-2:])
    boxes = ours.box_coder.decode(deltas, anchors)
    return difference(logits, expected_logits), difference(boxes, expected_boxes)


def effdet_outputs(oracle: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """effdet's class logits [N, A, C], and its boxes [N, A, 4] as xyxy."""
    classes, deltas = (
        torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, values) for x in outputs], dim=1)
        for outputs, values in zip(oracle(images), (90, 4), strict=True)
    )
    anchors = Anchors.from_config(oracle.config).boxes
    return classes, decode_box_outputs(deltas[0], anchors, output_xyxy=True)[None]


def torchvision_outputs(oracle: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """torchvision's class logits [N, A, C], and its boxes [N, A, 4]."""
    features = list(oracle.backbone(images).values())
    outputs = oracle.head(features)
    anchors = oracle.anchor_generator(ImageList(images, [tuple(images.shape[-2:])]), features)[0]
    boxes = oracle.box_coder.decode_single(outputs["bbox_regression"][0], anchors)
    return outputs["cls_logits"], boxes[None]


def compare_regions(ours: nn.Module, oracle: nn.Module, images: Tensor) -> tuple[float, float]:
    """The second stage's class logits, and the proposals that it read."""
    shape = tuple(images.shape[-2:])
    features = oracle.backbone(images)
    proposals, _ = oracle.rpn(ImageList(images, [shape]), features)
    pooled = oracle.roi_heads.box_roi_pool(features, proposals, [shape])
    expected, _ = oracle.roi_heads.box_predictor(oracle.roi_heads.box_head(pooled))
    logits, _, boxes, scores = ours(images)
    found = int((scores > 0).sum())
    return difference(logits[0, :found], expected), difference(boxes[0, :found], proposals[0])


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def count_gmacs(variant: str, size: tuple[int, int] | None = None) -> float | None:
    """Multiply-adds of convolutions and matrix products on one image, without computing any.

    None for a two-stage detector, whose cost depends on what it proposes.
    """
    if variant.startswith("fasterrcnn"):
        return None
    spec = VARIANTS[variant].input
    height, width = size or ((800, 1344) if spec.varies else (spec.height, spec.width))
    with torch.device("meta"):
        network = VARIANTS[variant].build(num_classes(variant)).eval()
        images = torch.zeros(1, 3, height, width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops() / 2e9
