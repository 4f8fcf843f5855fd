"""Boxes as offsets to priors that lie outside the file: SSD and RetinaFace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.adopt.decoders.boxes import class_scores, cxcywh_to_xyxy
from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Told,
    Value,
    grid_sizes,
    in_0_to_1,
)
from export.adopt.foreign import Foreign
from export.onnx.nodes import Array
from export.settings import Settings

VARIANCES = (0.1, 0.2)  # of centres and of sizes, in both families
LARGEST = float(np.log(1000 / 16))  # logarithm of a size that torchvision limits boxes to
FACE_SIZES = ((16, 32), (64, 128), (256, 512))  # biubug6/Pytorch_Retinaface `data/config.py`
FACE_STRIDES = (8, 16, 32)
SSDLITE_SIDE = 320
SCORE_WORDS = ("conf", "cls", "class", "score", "logit")
VGG = Settings(scale=1.0, mean=(123.0, 117.0, 104.0))
MOBILE = Settings(mean=(0.5,) * 3, std=(0.5,) * 3)


@dataclass(frozen=True)
class Recipe:
    """Priors of a network of torchvision, level by level: rows and columns, ratios of sides beside
    1, scales (and one after the last), and steps in pixels (None: the side by its cells)."""

    side: int
    cells: tuple[int, ...]
    ratios: tuple[tuple[float, ...], ...]
    scales: tuple[float, ...]
    steps: tuple[float, ...] | None = None


RECIPES = {  # torchvision `models/detection/ssd.py`, `ssdlite.py`
    "ssd300": Recipe(
        300,
        (38, 19, 10, 5, 3, 1),
        ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
        (8, 16, 32, 64, 100, 300),
    ),
    "ssdlite320": Recipe(
        SSDLITE_SIDE, (20, 10, 5, 3, 2, 1), ((2, 3),) * 6, (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
    ),
}


def recognise_ssd(file: Foreign, given: Given) -> Match | None:
    """Offsets [1, A, 4] and scores [1, A, 1 + C], and perhaps the priors [A, 4] themselves. Without
    these, A and the input's size must be those of a network of torchvision."""
    if file.ends:
        return None
    found = {
        name: value.reshape(value.shape[-2:]) if value.ndim in (2, 3) else value
        for name, value in file.answers.items()
    }
    stated = [name for name, value in found.items() if _are_priors(value)]
    pair = _boxes_and_scores({name: found[name] for name in found if name not in stated})
    if len(stated) > 1 or pair is None:
        return None
    boxes, scores = pair
    places, channels = found[scores].shape
    if stated:
        priors, recipe = found[stated[0]], None
        why = f"{stated[0]} has their priors"
        if priors.shape != (places, 4):
            return None
    else:
        recipe = _recipe(file, places)
        if recipe is None:
            return None
        priors, why = ssd_priors(RECIPES[recipe]), f"so many as torchvision's {recipe} has priors"
    sides = np.array([file.width, file.height] * 2, np.float32)
    return Match(
        pair,
        channels - 1,
        f"{boxes} is [1, {places}, 4] and {scores} [1, {places}, 1 + {channels - 1}]; {why}",
        {
            "priors": (priors * sides).astype(np.float32),
            "recipe": recipe,
            "activation": None if adds_up(found[scores]) else "softmax",
            "background": "first",
        },
    )


def _boxes_and_scores(found: Mapping[str, Array]) -> tuple[str, str] | None:
    """The names of offsets [A, 4] and of scores [A, 1 + C]. Those of three classes have the same
    shape: then a softmax's are told by their sum, others by their name."""
    if len(found) != 2 or any(value.ndim != 2 for value in found.values()):
        return None
    if len({len(value) for value in found.values()}) != 1:
        return None
    scores = [name for name, value in found.items() if value.shape[1] != 4]
    scores = scores or [name for name, value in found.items() if adds_up(value)]
    scores = scores or [name for name in found if any(w in name.lower() for w in SCORE_WORDS)]
    boxes = [name for name in found if name not in scores]
    if len(scores) != 1 or found[boxes[0]].shape[1] != 4 or found[scores[0]].shape[1] < 2:
        return None
    return boxes[0], scores[0]


def _are_priors(values: Array) -> bool:
    """Whether values may be centres and sizes of priors, in shares of the input: they lie in 0..1,
    and there is a square one for each centre."""
    if values.ndim != 2 or values.shape[1] != 4 or not in_0_to_1(values):
        return False
    square = np.isclose(values[:, 2], values[:, 3])
    return {*map(tuple, values[:, :2])} == {*map(tuple, values[square, :2])}


def _recipe(file: Foreign, places: int) -> str | None:
    for name, recipe in RECIPES.items():
        if file.height == file.width == recipe.side and len(ssd_priors(recipe)) == places:
            return name
    return None


def recognise_retinaface(file: Foreign, given: Given) -> Match | None:
    """Offsets [1, P, 4], scores of background and face [1, P, 2] and landmarks [1, P, 10]."""
    by_depth = {value.shape[-1]: name for name, value in file.answers.items() if value.ndim == 3}
    if len(file.answers) != 3 or set(by_depth) != {2, 4, 10}:
        return None
    priors = face_priors(file.height, file.width)
    boxes, scores, landmarks = (file.answers[by_depth[depth]] for depth in (4, 2, 10))
    if any(value.shape[:2] != (1, len(priors)) for value in (boxes, scores, landmarks)):
        return None
    return Match(
        (by_depth[4], by_depth[2]),
        1,
        f"{by_depth[4]} is [1, {len(priors)}, 4] and {by_depth[2]} [1, {len(priors)}, 2], two at"
        f" each place of strides 8, 16, 32; the landmarks of {by_depth[10]} are left out",
        {
            "priors": priors,
            "activation": None if adds_up(scores) else "softmax",
            "background": "first",
        },
        labels=("face",),
    )


def adds_up(scores: Array) -> bool:
    """Whether scores are a softmax's already."""
    return in_0_to_1(scores) and bool((np.abs(scores.sum(axis=-1) - 1) < 1e-3).all())


def preprocessing(file: Foreign) -> Told:
    """VGG's means, but for torchvision's SSDLite."""
    return Told(MOBILE if file.height == SSDLITE_SIDE else VGG)


def ssd_priors(recipe: Recipe) -> Array:
    """cxcywh [A, 4] of torchvision's `DefaultBoxGenerator`, relative, of sizes up to 1."""
    levels = []
    for level, (cells, ratios) in enumerate(zip(recipe.cells, recipe.ratios, strict=True)):
        scale = recipe.scales[level]
        between = np.sqrt(scale * recipe.scales[level + 1])
        sizes = [(scale, scale), (between, between)]
        for ratio in np.sqrt(ratios):
            sizes += [(scale * ratio, scale / ratio), (scale / ratio, scale * ratio)]
        step = 1 / cells if recipe.steps is None else recipe.steps[level] / recipe.side
        levels.append(_at_each_place(cells, cells, step, np.minimum(sizes, 1)))
    return np.concatenate(levels)


def face_priors(height: int, width: int) -> Array:
    """cxcywh [P, 4] in pixels of biubug6's `PriorBox`: squares of two sizes at each place."""
    levels = [
        _at_each_place(rows, cols, stride, np.array(sizes)[:, None].repeat(2, axis=1))
        for (rows, cols), stride, sizes in zip(
            grid_sizes(height, width, FACE_STRIDES), FACE_STRIDES, FACE_SIZES, strict=True
        )
    ]
    return np.concatenate(levels).astype(np.float32)


def _at_each_place(rows: int, cols: int, step: float, sizes: Array) -> Array:
    """``sizes`` [S, 2] at the middle of each place: cxcywh [rows * cols * S, 4]."""
    y, x = np.mgrid[:rows, :cols]
    centres = ((np.stack((x, y), axis=-1) + 0.5) * step).reshape(-1, 1, 2)
    shape = (rows * cols, len(sizes), 2)
    return np.concatenate(
        (np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)), axis=2
    ).reshape(-1, 4)


def graph(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """Offsets [N, A, 4] of centre, in sizes of the prior, and of the size's logarithm."""
    offsets, scores = outputs
    limited = layout.settings.get("recipe") is not None

    def to_boxes(op: Op, rows: Value, priors: Value | None) -> Value:
        moved, grown = op.Split(rows, [2, 2], axis=-1, _outputs=2)
        centre, size = op.Split(priors, [2, 2], axis=-1, _outputs=2)
        centre = op.Add(centre, op.Mul(op.Mul(moved, VARIANCES[0]), size))
        grown = op.Mul(grown, VARIANCES[1])
        grown = op.Min(grown, LARGEST) if limited else grown
        return cxcywh_to_xyxy(op, op.Concat(centre, op.Mul(op.Exp(grown), size), axis=-1))

    scores = class_scores(op, scores, layout)
    return Candidates(scores, offsets, layout.settings["priors"], to_boxes)
