"""Models as their owners have them: the public implementations with something changed that no
state dict holds, small and with seeded weights that find something."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from models.variants import VARIANTS
from models.weights import load_into
from tests.fidelity.measure import calibrate
from tests.fidelity.oracles import (
    AnchorGenerator,
    fasterrcnn_resnet50_fpn,
    get_model,
    retinanet_resnet50_fpn,
    seeded_state,
    timm,
    v2,
)

SIDE, LONGEST = 128, 213  # of detectors' inputs
PHOTO = Path("docs/photos/astronaut.jpg")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = {"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]}
THREE = ((0.5, 1.0, 2.0),) * 5
Answer = Callable[[str], Any]


@dataclass(frozen=True)
class Row:
    """An owner's model: what `export create` is called with, and says of it.

    words: a regular expression; None where the package is proven. photos: a detector's are two, for
        time, in which what was changed shows.
    """

    architecture: str
    build: Callable[[], nn.Module]
    transform: Callable[[Image.Image], Tensor]
    words: str | None
    options: tuple[str, ...] = ()
    activation: str = "softmax"
    classes: int = 4
    photos: tuple[str, ...] = ("astronaut.jpg", "cat.jpg", "photographer.jpg", "coffee.jpg")


def anchors(*bases: int, octaves: bool, ratios: tuple[tuple[float, ...], ...] = THREE) -> Any:
    sizes = [
        tuple(int(base * 2 ** (i / 3)) for i in range(3)) if octaves else (base,) for base in bases
    ]
    return AnchorGenerator(tuple(sizes), ratios)


def retinanet(**changes: Any) -> Row:
    name = "retinanet_resnet50_fpn_from_imagenet"
    return detector(name, retinanet_resnet50_fpn, {"score_thresh": 0.05, **changes})


def faster_rcnn(**changes: Any) -> Row:
    name = "fasterrcnn_resnet50_fpn_from_imagenet"
    return detector(name, fasterrcnn_resnet50_fpn, {"box_score_thresh": 0.05, **changes})


def detector(name: str, make: Callable[..., nn.Module], changes: dict[str, Any]) -> Row:
    words, options = changes.pop("words", None), changes.pop("options", ())
    photos = changes.pop("photos", ("astronaut.jpg", "cat.jpg"))
    sides = {"min_size": SIDE, "max_size": LONGEST, **changes}

    def build() -> nn.Module:
        return make(weights=None, weights_backbone=None, num_classes=4, **sides)

    classes = 3 if name.startswith("faster") else 4
    return Row(
        name,
        build,
        v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]),
        words,
        ("--input-size", str(SIDE), *options),
        classes=classes,
        photos=photos,
    )


def classifier(
    architecture: str,
    build: Callable[[], nn.Module],
    transform: Any,
    words: str | None,
    **more: Any,
) -> Row:
    normal = more.pop("normal", IMAGENET)
    steps = [*transform, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    return Row(architecture, build, v2.Compose([*steps, v2.Normalize(*normal)]), words, **more)


def resnet(classes: int = 4) -> nn.Module:
    return get_model("resnet50", weights=None, num_classes=classes)


BICUBIC = v2.InterpolationMode.BICUBIC
V1 = (v2.Resize(256), v2.CenterCrop(224))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
ROWS: dict[str, Row] = {
    "retinanet": retinanet(),
    "retinanet, anchors": retinanet(
        anchor_generator=anchors(16, 32, 64, 128, 256, octaves=True),
        words=r'anchors: with --anchor-sizes "16,20,25 32,40,50 .* all \d+ agree',
    ),
    "retinanet, normalisation": retinanet(
        **PLAIN, words=r"normalisation: with --mean 0 0 0 --std 1 1 1 all \d+ agree"
    ),
    "retinanet, max_size": retinanet(
        max_size=160,
        photos=("astronaut.jpg", "coffee.jpg"),  # the second is wide, and much is found in it
        words=r"resize: with .*--longer-side 160 all \d+ agree",
    ),
    "faster_rcnn": faster_rcnn(),
    "faster_rcnn, anchors": faster_rcnn(
        rpn_anchor_generator=anchors(16, 32, 64, 128, 256, octaves=False),
        words=r'anchors: with --anchor-sizes "16 32 64 128 256" all \d+ agree',
    ),
    "faster_rcnn, normalisation": faster_rcnn(
        **PLAIN, words=r"normalisation: with --mean 0 0 0 --std 1 1 1 all \d+ agree"
    ),
    "faster_rcnn, ratios": faster_rcnn(
        rpn_anchor_generator=anchors(
            32, 64, 128, 256, 512, octaves=False, ratios=((0.33, 1.0, 3.0),) * 5
        ),
        words=r'anchors: with --aspect-ratios "0.33 1 3" all \d+ agree',
    ),
    "faster_rcnn, proposals": faster_rcnn(
        rpn_post_nms_top_n_test=50,
        words=r"region proposals: with proposals = 50 in a file of --input all \d+ agree",
    ),
    "timm, as tf_": classifier(
        "tf_efficientnet_b0",
        partial(timm.create_model, "efficientnet_b0", num_classes=4),
        (v2.Resize(256, BICUBIC), v2.CenterCrop(224)),
        r"architecture: as efficientnet_b0 all \d+ agree",
    ),
    "resnet50": classifier("resnet50", resnet, V1, None),
    "resnet50, timm's resize": classifier(
        "resnet50",
        resnet,
        (v2.Resize(235, BICUBIC), v2.CenterCrop(224)),
        r"resize: with .*--shorter-side 235 --interpolation bicubic all \d+ agree",
    ),
    "resnet50, DEFAULT": classifier(
        "resnet50",
        resnet,
        (v2.Resize(232), v2.CenterCrop(224)),
        r"resize: with .*--shorter-side 232 --interpolation bilinear all \d+ agree",
    ),
    "resnet50, stretch": classifier(
        "resnet50",
        resnet,
        (v2.Resize((224, 224)),),
        r"resize: with --resize stretch --interpolation bilinear all \d+ agree",
    ),
    "resnet50, mean and std": classifier(
        "resnet50",
        resnet,
        V1,
        r"normalisation: with --mean 0.5 0.5 0.5 --std 0.5 0.5 0.5 all \d+ agree",
        normal=HALF,
    ),
    "one logit": classifier(
        "resnet50",
        partial(resnet, 1),
        V1,
        r"one output, whose share of one \(softmax\) is 1 for every photo",
        classes=1,
        activation="sigmoid",
    ),
    "several labels": classifier(
        "resnet50",
        resnet,
        V1,
        r"activation: with --activation sigmoid all \d+ agree",
        activation="sigmoid",
    ),
}


def make_weights(name: str) -> dict[str, Tensor]:
    """A state dict of the row's model that finds something, or tells photos apart."""
    row = ROWS[name]
    torch.manual_seed(0)
    model = row.build().eval()
    state = seeded_state(model)
    if VARIANTS[row.architecture].task == "detection":
        ours = VARIANTS[row.architecture].build(row.classes).eval()
        load_into(ours, state, name)
        images, _ = model.transform([row.transform(_open(PHOTO))])
        calibrate(row.architecture, ours, state, images.tensors)
        return state
    model.load_state_dict(state)
    photos = torch.stack(
        [row.transform(_open(path)) for path in sorted(PHOTO.parent.glob("*.jpg"))]
    )
    for module in model.modules():  # of the photos' own statistics, as after a training on them
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(photos)
        state = model.state_dict()
        logits = model.eval()(photos)  # [N, C]
    weight = next(key for key in reversed(state) if state[key].ndim == 2)
    factor = 0.6 / logits.std(dim=0)  # each class comes to vary from photo to photo, around 0
    bias = weight.replace("weight", "bias")
    state[bias] = (state[bias] - logits.mean(dim=0)) * factor
    state[weight] = state[weight] * factor[:, None]
    return state


def _open(path: Path | str) -> Image.Image:
    return Image.open(path).convert("RGB")


def answerer(name: str, weights: str) -> Answer:
    """What an owner's `--reference` has: a function of a photo's path."""
    torch.set_num_threads(1)
    row = ROWS[name]
    model = row.build()
    model.load_state_dict(torch.load(weights))
    model.eval()
    background = 4 - row.classes

    @torch.no_grad()
    def predict(path: str) -> Any:
        image = row.transform(_open(path))
        if VARIANTS[row.architecture].task == "detection":
            found = model([image])[0]
            return {**found, "labels": found["labels"] - background}
        logits = model(image[None])[0]
        return logits.sigmoid() if row.activation == "sigmoid" else logits.softmax(dim=0)

    return predict
