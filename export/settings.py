"""What a model is run with, beside its weights: pre-processing, anchors, thresholds.

Any may be left unstated; a checkpoint's own (`models.stated`), those of the command line and those
of a file of `--input` are merged, and what nobody states is the architecture's.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import nn

from export.errors import ExportError
from models.anchors import AnchorSettings
from models.faster_rcnn import FasterRCNN
from models.rpn import ProposalSettings
from models.sharing import coded, proposing
from service.imaging.input_spec import InputSpec, ShorterSide
from service.manifest import Activation

Channels = tuple[float, float, float]
Interpolation = Literal["bilinear", "bicubic"]
Resize = Literal["letterbox", "shorter_side", "stretch", "centre_crop"]
INPUT_SPEC: TypeAdapter[InputSpec] = TypeAdapter(InputSpec)
# Fields of an input that a resize of another kind has no use for.
OF_SOME_RESIZES = ("antialias", "fill", "anchor", "shorter_side", "longer_side", "divisor")
DIVISOR = 32  # of the sides of an input that varies, where nothing else is stated
PROPOSALS = ("proposal_candidates", "proposal_iou_threshold", "proposals")
OF_NETWORKS = (*PROPOSALS, "box_weights")  # which the network itself is built with
ONLY_IN_FILES = (
    *("scale", "channel_order", "fill", "anchor", "divisor", "temperature"),
    *OF_NETWORKS,
)


class SettingsError(ExportError):
    """Settings that cannot be; the message names the first that is wrong."""


@dataclass(frozen=True)
class Settings:
    """Each as the field of `service.imaging.input_spec` or of a manifest that it becomes; None
    where it is not stated.

    input_size: side of the input in pixels; of an input that varies its shorter side.
    padding: of strided layers, "same" as TensorFlow's or "symmetric" as PyTorch's: which of two
        architectures with the same tensors it is.
    anchor_sizes: of each level its anchors' sides in pixels, before the aspect ratio.
    temperature: what the logits of classes are divided by before they become scores.
    proposal_candidates, proposal_iou_threshold, proposals: of a two-stage detector, see
        `models.rpn.ProposalSettings`.
    box_weights: what the deltas of a box's centre and size are divided by, see `models.box_coder`.
    aspect_ratios: of an anchor its height by its width, at equal area; or its width and its height
        as multiples of its side.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    mean: Channels | None = None
    std: Channels | None = None
    scale: float | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    resize: Resize | None = None
    input_size: int | None = None
    shorter_side: int | None = None
    longer_side: int | None = None
    interpolation: Interpolation | None = None
    antialias: bool | None = None
    fill: tuple[int, int, int] | None = None
    anchor: Literal["top_left", "centre"] | None = None
    divisor: int | None = None
    anchor_sizes: tuple[tuple[float, ...], ...] | None = None
    aspect_ratios: tuple[float | tuple[float, float], ...] | None = None
    proposal_candidates: int | None = None
    proposal_iou_threshold: float | None = None
    proposals: int | None = None
    box_weights: tuple[float, float] | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None
    max_detections: int | None = None
    activation: Activation | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    padding: Literal["same", "symmetric"] | None = None

    def stated(self) -> dict[str, Any]:
        """Those that are, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def as_texts(self) -> dict[str, str]:
        """Those that are, each as `to_settings` or the command line reads it."""
        return {name: _as_text(name, value) for name, value in self.stated().items()}

    def over(self, other: "Settings") -> "Settings":
        """These, and of ``other`` what they leave unstated."""
        return replace(other, **self.stated())

    def __str__(self) -> str:
        """As the command line takes them."""
        return " ".join(_as_option(name, value) for name, value in self.stated().items())


NONE_STATED = Settings()
SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)
FIELDS = tuple(field.name for field in fields(Settings))


def read_settings(path: Path) -> Settings:
    """A TOML file with `Settings`' fields; raises SettingsError."""
    try:
        return to_settings(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no TOML ({error})") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def to_settings(values: Mapping[str, Any]) -> Settings:
    """Settings from plain values; raises SettingsError."""
    try:
        return SETTINGS.validate_python(dict(values))
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else "settings"
        known = f"; there are {', '.join(FIELDS)}" if name not in FIELDS else ""
        raise SettingsError(f"{name}: {fault['msg']}{known}") from error


def to_input_spec(spec: InputSpec, settings: Settings) -> InputSpec:
    """``spec`` with what ``settings`` state of it; ``input_size`` of a resize that it changes to.

    Raises SettingsError.
    """
    stated = settings.stated()
    values = {**spec.model_dump(), **{k: v for k, v in stated.items() if k in _all_fields()}}
    if stated.get("resize", spec.resize) != spec.resize:
        values = _of_another_resize(values, spec, settings)
    if settings.mean is not None and settings.fill is None and "fill" in values:
        values["fill"] = _colour(values["mean"], values["scale"], values["channel_order"])
    if values["resize"] == "shorter_side":
        values["longer_side"] = max(values["longer_side"], values["shorter_side"])
        longest = -(-values["longer_side"] // values["divisor"]) * values["divisor"]
        values |= {"height": longest, "width": longest}
    try:
        return INPUT_SPEC.validate_python(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"][1:]) or values["resize"]
        raise SettingsError(f"{where}: {fault['msg'].removeprefix('Value error, ')}") from error


def _colour(mean: Channels, scale: float, order: str) -> tuple[int, int, int]:
    """RGB of the mean: what padding after the normalisation, with zeros, stands for."""
    red, green, blue = (min(max(round(channel / scale), 0), 255) for channel in mean)
    return (blue, green, red) if order == "bgr" else (red, green, blue)


def _all_fields() -> frozenset[str]:
    common = ("mean", "std", "scale", "channel_order", "resize", "interpolation")
    return frozenset((*common, *OF_SOME_RESIZES))


def _of_another_resize(
    values: dict[str, Any], spec: InputSpec, settings: Settings
) -> dict[str, Any]:
    """``values`` without what only the resize of ``spec`` has, and with what the new one needs."""
    stated, kind = settings.stated(), values["resize"]
    side = settings.input_size
    if side is None:
        side = spec.shorter_side if isinstance(spec, ShorterSide) else spec.height
    kept = {k: v for k, v in values.items() if k not in OF_SOME_RESIZES or k in stated}
    kept |= {"height": side, "width": side}
    if kind in ("centre_crop", "shorter_side"):
        kept = {"shorter_side": side, **kept}
    if kind == "shorter_side":
        kept = {"longer_side": kept["shorter_side"] * 2, "divisor": DIVISOR, **kept}
    if kind != "centre_crop" and "antialias" in values:
        kept = {"antialias": values["antialias"], **kept}
    return kept


def to_anchors(anchors: AnchorSettings, settings: Settings) -> AnchorSettings:
    """``anchors`` with the sizes and ratios that ``settings`` state; raises SettingsError."""
    sizes, ratios = settings.anchor_sizes, settings.aspect_ratios
    if sizes is not None:
        if len(sizes) != len(anchors.strides) or len({len(level) for level in sizes}) > 1:
            raise SettingsError(
                f"anchor_sizes: needs as many sizes for each of {len(anchors.strides)} levels,"
                f" such as {anchor_sizes_text(anchors.sizes)!r}"
            )
        anchors = replace(anchors, sizes=sizes)
    if ratios is not None:
        factors = (r if isinstance(r, tuple) else (r**-0.5, r**0.5) for r in ratios)
        anchors = replace(anchors, ratios=tuple(factors))
    return anchors


def to_network(network: nn.Module, settings: Settings) -> nn.Module:
    """``network``, or with its weights one with the region proposals and the box coder that
    ``settings`` state; raises SettingsError if it has none."""
    stated = settings.stated()
    if settings.box_weights is not None:
        if not hasattr(network, "box_coder"):
            raise SettingsError("box_weights are a detector's")
        network = coded(network, settings.box_weights)
    fields = ("candidates", "iou_threshold", "number")
    own = {f: stated[name] for f, name in zip(fields, PROPOSALS, strict=True) if name in stated}
    if not own:
        return network
    if not isinstance(network, FasterRCNN):
        raise SettingsError("proposals are a two-stage detector's")
    return proposing(network, ProposalSettings(**own))


def parse_anchor_sizes(text: str) -> tuple[tuple[float, ...], ...]:
    """Levels with spaces between them, a level's sizes with commas; raises SettingsError."""
    try:
        return tuple(tuple(float(size) for size in level.split(",")) for level in text.split())
    except ValueError as error:
        raise SettingsError(f"anchor_sizes: {error}, in {text!r}") from error


def anchor_sizes_text(sizes: tuple[tuple[float, ...], ...]) -> str:
    """What `parse_anchor_sizes` reads."""
    return " ".join(",".join(f"{size:.6g}" for size in level) for level in sizes)


def parse_aspect_ratios(text: str) -> tuple[float | tuple[float, float], ...]:
    """Ratios with spaces between them, each as height / width, or as WIDTHxHEIGHT; raises
    SettingsError."""
    ratios: list[float | tuple[float, float]] = []
    for word in text.replace(",", " ").split():
        try:
            parts = [float(part) for part in word.split("x")]
        except ValueError as error:
            raise SettingsError(f"aspect_ratios: {error}, in {text!r}") from error
        if len(parts) > 2 or min(parts) <= 0:
            raise SettingsError(f"aspect_ratios: {word} is neither a number nor WIDTHxHEIGHT")
        ratios.append(parts[0] if len(parts) == 1 else (parts[0], parts[1]))
    return tuple(ratios)


def aspect_ratios_text(ratios: tuple[float | tuple[float, float], ...]) -> str:
    """What `parse_aspect_ratios` reads."""
    words = (f"{r[0]:g}x{r[1]:g}" if isinstance(r, tuple) else f"{r:g}" for r in ratios)
    return " ".join(words)


def _as_option(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    if name in ONLY_IN_FILES:
        shown = list(value) if isinstance(value, tuple) else value
        return f"{name} = {json.dumps(shown)} in a file of --input"
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-", 1)
    text = _as_text(name, value)
    return f'{option} "{text}"' if name in ("anchor_sizes", "aspect_ratios") else f"{option} {text}"


def _as_text(name: str, value: Any) -> str:
    if name == "anchor_sizes":
        return anchor_sizes_text(value)
    if name == "aspect_ratios":
        return aspect_ratios_text(value)
    if isinstance(value, tuple):
        return " ".join(f"{part:g}" for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
