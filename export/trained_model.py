"""A network with an owner's weights and settings: what an export begins with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from export.conventions import check_convention, require_convention, stated_architecture
from export.errors import ExportError
from export.labels import KNOWN
from export.laid_out_anchors import compare_laid_out, side_of
from export.onnx.graph import build_graph, inputs_of, outputs_of
from export.parity.model import TorchSession
from export.proof.alternatives import Alternative
from export.settings import (
    FIELDS,
    OF_NETWORKS,
    Settings,
    SettingsError,
    anchor_sizes_text,
    to_anchors,
    to_input_spec,
    to_network,
    to_settings,
)
from models.anchors import AnchorSettings
from models.checkpoint_file import CheckpointError
from models.checkpoints import Checkpoint, load_checkpoint
from models.faster_rcnn import FasterRCNN
from models.sharing import reanchored, remembering, tempered
from models.stated import Stated
from models.variants import (
    VARIANTS,
    Variant,
    anchors_of,
    at_size,
    find_variant,
    with_anchors,
)
from models.weights import MisfitError, Recognised, count_classes, load_into
from service.manifest import (
    Activation,
    ClassificationDefaults,
    ClassificationManifest,
    DetectionDefaults,
    DetectionManifest,
    Label,
    ModelManifest,
    Tensor,
)
from service.package import ModelPackage

DETECTION_DEFAULTS = DetectionDefaults(score_threshold=0.3, iou_threshold=0.5, max_detections=100)
TOP_K = 5
THRESHOLDS = tuple(DetectionDefaults.model_fields)
Row = tuple[str, str, str]  # a setting, its value, and who stated it


@dataclass(frozen=True)
class TrainedModel:
    """A network, ready to run, and all that a package says of it but what is measured.

    variant: the architecture's row, with its input as the settings have it.
    settings: those that somebody stated. sources: who, by the setting's name.
    """

    architecture: str
    variant: Variant
    network: nn.Module
    labels: tuple[Label, ...]
    settings: Settings
    sources: Mapping[str, str]
    recognised: Recognised
    checkpoint: Checkpoint
    weights: Path

    @property
    def activation(self) -> Activation:
        return self.settings.activation or "softmax"

    @property
    def defaults(self) -> DetectionDefaults | ClassificationDefaults:
        if self.variant.task == "classification":
            return ClassificationDefaults(top_k=min(TOP_K, len(self.labels)))
        stated = self.settings.stated()
        chosen = {name: stated[name] for name in THRESHOLDS if name in stated}
        return DetectionDefaults(**{**DETECTION_DEFAULTS.model_dump(), **chosen})

    @cached_property
    def anchors(self) -> AnchorSettings | None:
        return anchors_of(self.variant)

    @property
    def proposes(self) -> bool:
        """Whether it has two stages."""
        return isinstance(self.network, FasterRCNN)

    @cached_property
    def graph(self) -> nn.Module:
        return build_graph(self.network, self.variant.input, self.activation == "sigmoid")

    def manifest(self, **content: Any) -> ModelManifest:
        """With ``content``, the fields of a manifest that are not known here."""
        content |= {
            "labels": self.labels,
            "input": self.variant.input,
            "defaults": self.defaults,
        }
        if self.variant.task == "detection":
            return DetectionManifest(**content)
        return ClassificationManifest(activation=self.activation, **content)

    def package(self) -> ModelPackage:
        """The network itself behind the interface of a package, before there is one.

        Its manifest says what running it takes, and nothing of a file.
        """
        detects = self.variant.task == "detection"
        stated = DetectionManifest if detects else ClassificationManifest
        content: dict[str, Any] = {
            "name": self.architecture,
            "version": "1",
            "task": self.variant.task,
            "labels": self.labels,
            "input": self.variant.input,
            "defaults": self.defaults,
            "inputs": tuple(Tensor(name=n, dtype="", shape=()) for n in inputs_of(self.graph)),
            "outputs": tuple(
                Tensor(name=n, dtype="float", shape=())
                for n in outputs_of(self.variant.task, self.graph)
            ),
            "precision": "fp32",
            "sha256": "0" * 64,
            **({} if detects else {"activation": self.activation}),
        }
        manifest: ModelManifest = stated.model_construct(**content)
        return ModelPackage(manifest, TorchSession(self.graph))

    def other(self, alternative: Alternative) -> "TrainedModel | None":
        """The same weights with other settings, or None where they do not fit."""
        settings = alternative.settings.over(self.settings)
        name = alternative.architecture or self.architecture
        try:
            if name != self.architecture:
                return _build(
                    name, self.checkpoint, self.weights, settings, self.sources, self.labels
                )
            variant = _with_settings(name, settings)
        except (ExportError, CheckpointError):
            return None
        changed, network = alternative.settings.stated().keys(), self.network
        if changed & {"anchor_sizes", "aspect_ratios"} and self.anchors is not None:
            anchors = anchors_of(variant)
            if anchors is None or anchors.per_cell != self.anchors.per_cell:
                return None
            network = reanchored(network, anchors)
        if changed & {*OF_NETWORKS}:
            network = to_network(network, settings)
        return replace(self, variant=variant, network=network, settings=settings)

    def tempered(self, temperature: float) -> "TrainedModel":
        """The same with scores of another ``temperature``, see `models.sharing.tempered`."""
        network = tempered(self.network, temperature)
        settings = replace(self.settings, temperature=temperature)
        return replace(self, network=network, settings=settings)

    def remembering(self) -> "TrainedModel":
        """The same, whose `other` ones share what they compute of the same pixels."""
        return replace(self, network=remembering(self.network))

    def require_convention(self) -> None:
        """Raise ExportError if nothing says which of two architectures the weights are of."""
        stated = stated_architecture(self.architecture, self.checkpoint, self.weights)
        told = (stated, self.settings, self.recognised, self.weights)
        require_convention(self.architecture, *told)

    def rows(self) -> list[Row]:
        """Every setting that the package is made with, and who stated it."""
        values: dict[str, Any] = {
            "architecture": self.architecture,
            **self.variant.input.model_dump(),
        }
        if (anchors := self.anchors) is not None:
            values["anchor_sizes"] = anchor_sizes_text(anchors.sizes)
            values["aspect_ratios"] = " ".join(f"{w:.3g}x{h:.3g}" for w, h in anchors.ratios)
        if self.variant.task == "detection":
            values |= self.defaults.model_dump()
        else:
            values["activation"] = self.activation
        assumed = f"assumed: {self.architecture}'s"
        told = {"architecture": "given", **self.sources}
        return [(name, _shown(value), told.get(name, assumed)) for name, value in values.items()]


def load_model(
    architecture: str,
    weights: Path,
    settings: Settings,
    labels: tuple[Label, ...] | None = None,
) -> TrainedModel:
    """Read ``weights``, and what they say of their settings where ``settings`` say nothing.

    Raises ExportError or CheckpointError.
    """
    variant = find_architecture(architecture)
    checkpoint = load_checkpoint(weights, architecture)
    read = {name: value for name, value in checkpoint.stated.items() if name in FIELDS}
    read |= _input_size(checkpoint, variant)
    sources = {name: stated.source for name, stated in read.items()}
    sources |= dict.fromkeys(settings.stated(), "given")
    merged = settings.over(to_settings({name: stated.value for name, stated in read.items()}))
    if labels is None and checkpoint.labels is not None:
        labels = tuple(Label(id=i, name=name) for i, name in checkpoint.labels)
    if labels is None:
        count = count_classes(variant.build(1), checkpoint.state)
        # raises if the checkpoint is of another architecture, whatever its labels
        _fill(variant.build(count or 1), checkpoint, weights)
        raise ExportError(
            f"{weights} does not name its {count} classes; pass --labels with a file of one"
            f" name a line, or {', '.join(KNOWN)}"
        )
    return _build(architecture, checkpoint, weights, merged, sources, labels)


def _build(
    architecture: str,
    checkpoint: Checkpoint,
    weights: Path,
    settings: Settings,
    sources: Mapping[str, str],
    labels: tuple[Label, ...],
) -> TrainedModel:
    variant = find_architecture(architecture)
    _check_labels(variant, labels, settings, weights)
    if settings.activation is not None and variant.task == "detection":
        raise SettingsError(
            f"{architecture} is a detector; an activation (multi-label) is for classifiers"
        )
    variant = _with_settings(architecture, settings)
    network = to_network(variant.build(len(labels)), settings)
    recognised = _fill(network, checkpoint, weights)
    model = TrainedModel(
        architecture,
        variant,
        network.eval(),
        labels,
        settings,
        sources,
        recognised,
        checkpoint,
        weights,
    )
    stated = stated_architecture(architecture, checkpoint, weights)
    check_convention(architecture, stated, settings, recognised, weights)
    _check_laid_out(model)
    return model if settings.temperature is None else model.tempered(settings.temperature)


def _with_settings(architecture: str, settings: Settings) -> Variant:
    """The architecture's row, with the input and the anchors of ``settings``."""
    variant = find_architecture(architecture)
    if settings.input_size is not None:
        variant = at_size(variant, settings.input_size)
    variant = replace(variant, input=to_input_spec(variant.input, settings))
    if settings.anchor_sizes is None and settings.aspect_ratios is None:
        return variant
    if (anchors := anchors_of(variant)) is None:
        raise SettingsError(f"{architecture} has no anchors; sizes and ratios are a detector's")
    return with_anchors(variant, to_anchors(anchors, settings))


def find_architecture(name: str) -> Variant:
    """Its row; raises ExportError."""
    try:
        return find_variant(name)
    except KeyError:
        close = get_close_matches(name, VARIANTS, n=3, cutoff=0)
        raise ExportError(
            f"there is no {name}; the nearest are {', '.join(close)}, `python -m models` lists all,"
            " and any other network comes as ONNX: `python -m export adopt`"
        ) from None


def _input_size(checkpoint: Checkpoint, variant: Variant) -> dict[str, Stated]:
    """That which effdet's anchors are laid over, where the file has them."""
    anchors = anchors_of(variant) if checkpoint.laid_out is not None else None
    if checkpoint.laid_out is None or anchors is None:
        return {}
    side = side_of(checkpoint.laid_out, anchors)
    return {} if side is None else {"input_size": Stated(side, "its anchors.boxes")}


def _check_labels(
    variant: Variant, labels: tuple[Label, ...], settings: Settings, weights: Path
) -> None:
    names = [label.name for label in labels]
    if variant.task == "detection" and len(set(names)) < len(names):
        raise ExportError(
            f"{weights}: two classes are called {max(names, key=names.count)!r}, and requests"
            " choose by name; pass --labels with a file of one name a line that all differ"
        )
    one = variant.task == "classification" and len(labels) == 1
    if one and settings.activation != "sigmoid":
        raise ExportError(
            f"{weights} has one output, whose share of one (softmax) is 1 for every photo; if"
            " it is the logit of yes or no, pass --activation sigmoid and the label of yes"
        )


def _fill(network: nn.Module, checkpoint: Checkpoint, weights: Path) -> Recognised:
    try:
        return load_into(network, checkpoint.state, str(weights))
    except MisfitError as error:
        raise CheckpointError(
            f"{error}; is it of another architecture? `python -m models` lists them"
        ) from error


def _check_laid_out(model: TrainedModel) -> None:
    """Raise CheckpointError if the file's own anchors are not the network's."""
    laid_out, anchors = model.checkpoint.laid_out, model.anchors
    if laid_out is None or anchors is None:
        return
    spec = model.variant.input
    fault = compare_laid_out(laid_out, anchors, spec.height, spec.width)
    if fault is not None:
        raise CheckpointError(f"{model.weights}: {fault}")


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(_shown(part) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
