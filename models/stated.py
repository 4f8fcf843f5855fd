"""What a checkpoint's file states beside its tensors: labels, pre-processing, anchors and more.

Read are a network pickled whole (torchvision's transform and anchors, timm's pretrained_cfg), a
trainer's `arch`, `args` and Lightning's `hyper_parameters`, and the JSON files that Hugging Face's
libraries write beside the weights. Names are those of `export.settings.Settings`, beside
"architecture"; a value of a kind that is not known is not read.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.inert_pickle import StandIn

ARGUMENTS = ("hyper_parameters", "hparams", "args", "config", "cfg", "opt")
JSON_FILES = ("config.json", "preprocessor_config.json")
# A setting, and what it is called elsewhere.
ALIASES: dict[str, tuple[str, ...]] = {
    "architecture": ("architecture", "arch", "model_name", "model"),
    "mean": ("mean", "image_mean"),
    "std": ("std", "image_std"),
    "input_size": ("val_crop_size", "crop_size", "input_size", "img_size", "image_size"),
    "shorter_side": ("val_resize_size", "resize_size"),
    "interpolation": ("interpolation", "resample"),
}
NUMBERS = (  # that only a pickled network states, under these names
    "shorter_side",
    "longer_side",
    "divisor",
    "proposal_candidates",
    "proposal_iou_threshold",
    "proposals",
    "score_threshold",
    "iou_threshold",
    "max_detections",
)
LABELS = ("label_names", "id2label", "class_names", "classes", "labels")
INTERPOLATIONS = {"bilinear": "bilinear", "bicubic": "bicubic", 2: "bilinear", 3: "bicubic"}
CROP_MODES = {"center": "centre_crop", "squash": "stretch"}  # timm's
Labels = tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Stated:
    """A setting's value, and where in the file or beside it that stands."""

    value: Any
    source: str


def stated_in(content: object, path: Path) -> tuple[dict[str, Stated], Labels | None]:
    """What the file's ``content``, and the files beside ``path``, state, and the labels.

    Of several that state the same the first counts, the network itself before what is beside it.
    """
    found: dict[str, Stated] = {}
    labels: Labels | None = None
    for source, values in _places(content, path):
        for name, value in _settings(values).items():
            found.setdefault(name, Stated(value, source))
        labels = labels or _labels(values)
    return found, labels


def _places(content: object, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where settings may stand, with plain values by name."""
    held = [content]
    if isinstance(content, Mapping):
        held += [v for v in content.values() if isinstance(v, StandIn) and v.is_module]
    for network in held:
        if isinstance(network, StandIn) and network.is_module:
            yield from _network(network)
    folder = path if path.is_dir() else path.parent
    for name in JSON_FILES:
        if isinstance(values := _json(folder / name), dict):
            inner = values.get("pretrained_cfg")
            yield name, {**(inner if isinstance(inner, dict) else {}), **values}
    if isinstance(content, Mapping):
        for name in ARGUMENTS:
            if name in content:
                yield f"its {name}", _plain(content[name])
        yield "the file", {k: v for k, v in content.items() if k in ("arch", "architecture")}


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else None
    except (OSError, ValueError):
        return None


def _plain(value: object) -> Mapping[str, Any]:
    if isinstance(value, StandIn):  # a Namespace, or a dictionary of Lightning's
        return {**value.attributes, **value.items}
    return value if isinstance(value, Mapping) else {}


def _network(network: StandIn) -> Iterator[tuple[str, Mapping[str, Any]]]:
    own, parts = network.attributes, network.attributes.get("_modules", {})
    for name in ("pretrained_cfg", "default_cfg"):
        if values := _plain(own.get(name)):
            yield f"its {name}", values
    transform = _attributes(parts, "transform")
    generator = _attributes(parts, "anchor_generator") or _attributes(
        _attributes(parts, "rpn").get("_modules", {}), "anchor_generator"
    )
    if transform:
        yield "its transform", _transform(transform)
    if generator:
        sizes, ratios = generator.get("sizes"), generator.get("aspect_ratios")
        if sizes and ratios and len(set(map(tuple, ratios))) == 1:
            yield "its anchor generator", {"anchor_sizes": sizes, "aspect_ratios": ratios[0]}
    proposals = _attributes(parts, "rpn")
    if proposals:
        yield (
            "its rpn",
            {
                "proposal_candidates": _tested(proposals.get("_pre_nms_top_n")),
                "proposals": _tested(proposals.get("_post_nms_top_n")),
                "proposal_iou_threshold": proposals.get("nms_thresh"),
            },
        )
    for part, values in (("roi_heads", _attributes(parts, "roi_heads")), ("network", own)):
        coder = values.get("box_coder")
        found = {
            "score_threshold": values.get("score_thresh"),
            "iou_threshold": values.get("nms_thresh"),
            "max_detections": values.get("detections_per_img"),
            "box_weights": _box_weights(coder.attributes if isinstance(coder, StandIn) else {}),
        }
        yield f"its {part}", found


def _box_weights(coder: Mapping[str, Any]) -> object:
    """Those of a centre and a size; torchvision has one for either axis."""
    weights = coder.get("weights")
    if not isinstance(weights, (tuple, list)) or len(weights) != 4:
        return None
    x, y, width, height = weights
    return (x, width) if (x, width) == (y, height) else None


def _tested(numbers: object) -> object:
    """torchvision's number for testing, where it has one for training too."""
    return numbers.get("testing") if isinstance(numbers, Mapping) else None


def _attributes(modules: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = modules.get(name)
    return part.attributes if isinstance(part, StandIn) else {}


def _transform(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """torchvision's GeneralizedRCNNTransform."""
    shorter = values.get("min_size")
    return {
        "mean": values.get("image_mean"),
        "std": values.get("image_std"),
        "shorter_side": shorter[-1] if isinstance(shorter, (tuple, list)) else shorter,
        "longer_side": values.get("max_size"),
        "divisor": values.get("size_divisible"),
    }


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that are settings, as `export.settings.Settings` has them."""
    found: dict[str, Any] = {}
    for name, aliases in ALIASES.items():
        first = next((values[a] for a in aliases if values.get(a) is not None), None)
        if (value := _READERS[name](first)) is not None:
            found[name] = value
    for name in NUMBERS:
        if isinstance(value := values.get(name), (int, float)) and not isinstance(value, bool):
            found[name] = value
    for name in ("anchor_sizes", "aspect_ratios", "box_weights"):
        if isinstance(value := values.get(name), (tuple, list)):
            found[name] = tuple(tuple(v) if isinstance(v, (tuple, list)) else v for v in value)
    return {**found, **_crop(values, found.get("input_size"))}


def _crop(values: Mapping[str, Any], size: int | None) -> dict[str, Any]:
    """A classifier's resize: timm's crop_pct and crop_mode, transformers' size and crop_size."""
    share, edges = values.get("crop_pct"), values.get("size")
    if isinstance(edges, Mapping):
        shortest, height = edges.get("shortest_edge"), edges.get("height")
        if isinstance(height, int) and not values.get("do_center_crop"):
            return {"resize": "stretch", "input_size": height}
        if isinstance(shortest, int) and not _number(share):
            return {"resize": "centre_crop", "shorter_side": shortest}
        size = shortest if isinstance(shortest, int) else size
    if not _number(share) or size is None:
        return {}
    mode = CROP_MODES.get(str(values.get("crop_mode") or "center"))
    if mode != "centre_crop":
        return {} if mode is None else {"resize": mode, "input_size": size}
    return {"resize": mode, "input_size": size, "shorter_side": math.floor(size / share)}


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _channels(value: object) -> tuple[float, ...] | None:
    if isinstance(value, Sequence) and len(value) == 3 and all(map(_numeric, value)):
        return tuple(map(float, value))
    return None


def _numeric(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _side(value: object) -> int | None:
    """Of 224, [3, 224, 224] and {"height": 224, "width": 224}."""
    if isinstance(value, Mapping):
        value = value.get("height")
    if isinstance(value, (tuple, list)) and value:
        value = value[-1]
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _interpolation(value: object) -> str | None:
    return INTERPOLATIONS.get(value) if isinstance(value, (str, int)) else None


_READERS = {
    "architecture": _text,
    "mean": _channels,
    "std": _channels,
    "input_size": _side,
    "shorter_side": _side,
    "interpolation": _interpolation,
}


def _labels(values: Mapping[str, Any]) -> Labels | None:
    for name in LABELS:
        held = values.get(name)
        if isinstance(held, Mapping) and all(str(key).isdigit() for key in held):
            return tuple(sorted((int(key), str(label)) for key, label in held.items()))
        if isinstance(held, (tuple, list)) and held and all(isinstance(n, str) for n in held):
            return tuple(enumerate(held))
    return None
