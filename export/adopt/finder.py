"""Proposes what reads a file: its decoder, input and labels, each with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from export.adopt.decoders import DECODERS
from export.adopt.decoders.row import Decoder, Given, Match, Told
from export.adopt.foreign import Foreign
from export.adopt.plan import GIVEN, Finding, Plan
from export.adopt.safety import ForeignError
from export.onnx.nodes import constants, readers
from export.report.tables import UNKNOWN_LICENCE
from export.settings import Settings, to_input_spec
from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, Stretch
from service.manifest import DetectionDefaults, Label

AS_THEY_ARE = Settings(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), scale=1.0)
OTHER_TASKS = ("segment", "pose", "obb", "keypoint")  # in whose words exporters state theirs
USUAL = {80: "coco80", 90: "coco", 91: "coco91", 1000: "imagenet1k"}  # labels by their number
DIVISOR = 50  # that only values of 0 to 255 are divided by, not those of 0 to 1
PASSED_OVER = ("Cast", "Identity", "Transpose")  # before the pixels are normalised
NORMALISATION = ("scale", "mean", "std")


def propose(
    file: Foreign,
    given: Given,
    labels: tuple[Label, ...] | None = None,
    licence: str | None = None,
) -> Plan:
    """The plan for ``file``. What ``given``, ``labels`` and ``licence`` state, they decide.

    Raises ForeignError if no decoder reads its outputs, if several do, or if labels are missing.
    """
    _check_task(file, given)
    known, why_labels = (labels, GIVEN) if labels is not None else _named(file)
    decoder, match = _decoder(file, replace(given, labels=known))
    _check_options(file, decoder, given)
    told = _preprocessing(file, decoder)
    spec = _input(file, told, given)
    if known is None and match.labels:
        known, why_labels = (
            to_labels(enumerate(match.labels)),
            f"always those of {_family(decoder)}",
        )
    chosen = _labels(file, match, known, why_labels)
    licence, why_licence = _licence(file, licence)
    why_decoder = match.why + (f"; {GIVEN}" if given.decoder else "")
    findings = (
        Finding("decoder", f"{decoder.name}: {decoder.title}", why_decoder),
        Finding("input size", f"{file.width} x {file.height}", file.why["size"]),
        Finding("layout", file.layout, file.why["layout"]),
        *_input_findings(decoder, spec, told, given),
        Finding("labels", _listed(chosen), why_labels),
        Finding("licence", licence, why_licence, licence != UNKNOWN_LICENCE),
    )
    return Plan(file, decoder, match, spec, _defaults(decoder, given), chosen, licence, findings)


def _check_task(file: Foreign, given: Given) -> None:
    """Raise ForeignError for a network that finds something else than classes and boxes, unless a
    decoder is named."""
    task = str(file.fact("task")).lower()
    if given.decoder is None and any(word in task for word in OTHER_TASKS):
        raise ForeignError(
            f"{file.path}: its metadata says that its task is {task!r:.40}; packages detect or"
            " classify: export a model that was trained for that"
        )


def _decoder(file: Foreign, given: Given) -> tuple[Decoder, Match]:
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in file.answers.items())
    if given.decoder is not None:
        if given.decoder not in DECODERS:
            raise ForeignError(
                f"there is no decoder {given.decoder!r}; choose of {', '.join(DECODERS)}"
            )
        decoder = DECODERS[given.decoder]
        match = decoder.recognise(file, given)
        if match is None:
            raise ForeignError(
                f"{file.path}: its outputs {shapes} are not those of {decoder.title}"
            )
        return decoder, match
    found = [(row, match) for row in DECODERS.values() if (match := row.recognise(file, given))]
    if not found:
        raise ForeignError(
            f"{file.path}: its outputs {shapes} are of no family that is known; choose those that"
            " matter with --outputs, or describe them to --decoder generic (docs/adopt.md)"
        )
    if len(found) > 1:
        raise ForeignError(
            f"{file.path}: its outputs {shapes} may be of {found[0][0].title}, or of"
            f" {found[1][0].title}: pass --decoder {found[0][0].name} or"
            f" --decoder {found[1][0].name}"
        )
    return found[0]


def _preprocessing(file: Foreign, decoder: Decoder) -> Told:
    """The family's usual, and what the file shows of it."""
    own = decoder.preprocessing
    told = own(file) if callable(own) else Told(own)
    why = _reads_pixels(file)
    if why is None:
        return told
    return Told(AS_THEY_ARE.over(told.preprocessing), {**told.why, "normalisation": why})


def _reads_pixels(file: Foreign) -> str | None:
    """What shows that the file normalises pixels of 0 to 255 itself: their type, or what its first
    operators do to them."""
    if file.image.dtype == "uint8":
        return f"{file.image.name} is uint8: pixels as they are"
    following, values, name = readers(file.model), constants(file.model), file.image.name
    while len(following[name]) == 1:
        (node,) = following[name]
        number = max(
            (np.abs(values[i]).max(initial=0) for i in node.input if i in values), default=0
        )
        if (
            (node.op_type == "Div" and number >= DIVISOR)
            or (node.op_type == "Mul" and 0 < number <= 1 / DIVISOR)
            or (node.op_type in ("Sub", "Add") and number > 1)
        ):
            return f"begins with a {node.op_type} by {number:.4g}, so it reads pixels of 0 to 255"
        if node.op_type not in PASSED_OVER:
            return None
        name = node.output[0]
    return None


def _input(file: Foreign, told: Told, given: Given) -> InputSpec:
    """What the user gave, over what the family does; SettingsError if that cannot be."""
    settings, stated = given.preprocessing, given.preprocessing.stated()
    for name in NORMALISATION:
        if name in stated and file.image.dtype == "uint8":
            raise ForeignError(
                f"{file.path}: {_option(name)} says nothing of {file.image.name}, which is uint8"
            )
    size = {"height": file.height, "width": file.width}
    plain = Stretch(interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1), **size)
    usual = to_input_spec(plain, told.preprocessing).model_copy(update=size)
    if isinstance(usual, Letterbox) and settings.resize in (None, "letterbox"):
        settings = settings.over(Settings(fill=usual.fill))
    spec = to_input_spec(usual, settings)
    if spec.varies:
        raise ForeignError(f"{file.path}: has one size of input, and {spec.resize} has many")
    return spec.model_copy(update=size)


def _defaults(decoder: Decoder, given: Given) -> DetectionDefaults | None:
    if decoder.defaults is None:
        return None
    stated = given.preprocessing.stated()
    chosen = {name: stated[name] for name in DetectionDefaults.model_fields if name in stated}
    return decoder.defaults.model_copy(update=chosen)


def _input_findings(decoder: Decoder, spec: InputSpec, told: Told, given: Given) -> list[Finding]:
    """What is done to a photo. Of what neither file nor user says, the family's usual is taken."""
    usual = f"usual of {_family(decoder)}; the file does not say"
    stated = given.preprocessing.stated()
    smoothed = "" if getattr(spec, "antialias", True) else ", no antialias"
    rows = (
        ("channel order", spec.channel_order, ("channel_order",)),
        ("normalisation", _normalisation(spec), NORMALISATION),
        ("resize", _resize(spec), ("resize", "anchor", "fill", "shorter_side")),
        (
            "interpolation",
            f"{spec.interpolation}{smoothed}",
            ("interpolation", "antialias"),
        ),
    )
    findings = []
    for name, value, names in rows:
        why = GIVEN if stated.keys() & set(names) else told.why.get(name)
        findings.append(Finding(name, value, why or usual, why is not None))
    return findings


def _normalisation(spec: InputSpec) -> str:
    return f"(x * {spec.scale:.4g} - {_triple(spec.mean)}) / {_triple(spec.std)}"


def _resize(spec: InputSpec) -> str:
    match spec:
        case Letterbox():
            return f"letterbox, {spec.anchor.replace('_', ' ')}, filled with {_triple(spec.fill)}"
        case CentreCrop():
            return f"shorter side to {spec.shorter_side}, the middle cut out"
        case _:
            return spec.resize


def _triple(values: Sequence[float]) -> str:
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len({*shown}) == 1 else f"({', '.join(shown)})"


def _family(decoder: Decoder) -> str:
    """Its title, without what is said of the outputs."""
    return decoder.title.partition(":")[0]


def _check_options(file: Foreign, decoder: Decoder, given: Given) -> None:
    """Raise ForeignError for an option that the decoder takes no notice of."""
    for name in given.settings:
        if name not in decoder.options:
            taken = ", ".join(map(_option, decoder.options)) or "no such option"
            raise ForeignError(
                f"{file.path}: {_option(name)} says nothing of a {decoder.name} file, which takes"
                f" {taken}"
            )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _named(file: Foreign) -> tuple[tuple[Label, ...] | None, str]:
    """The labels that the metadata names, by their numbers, and why."""
    names = file.fact("names")
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        return None, ""
    try:
        labels = to_labels(names.items())
    except (TypeError, ValueError, OverflowError):  # a ValidationError is a ValueError
        raise ForeignError(
            f"{file.path}: the names of its metadata are no names by number; pass --labels"
        ) from None
    return tuple(sorted(labels, key=lambda label: label.id)), "names of the metadata"


def to_labels(names: Iterable[tuple[Any, Any]]) -> tuple[Label, ...]:
    return tuple(Label(id=int(number), name=str(name)) for number, name in names)


def _labels(
    file: Foreign, match: Match, labels: tuple[Label, ...] | None, why: str
) -> tuple[Label, ...]:
    """``labels``, if they are as many as the classes."""
    if labels is None:
        usual = USUAL.get(match.classes)
        hint = f" ({usual}, if it is of that data set)" if usual else ""
        count = f"its {match.classes} classes" if match.classes else "its classes"
        raise ForeignError(
            f"{file.path}: does not name {count}; pass --labels{hint} or a file of one name a line"
        )
    if match.classes and len(labels) != match.classes:
        raise ForeignError(
            f"{file.path}: its outputs have {match.classes} classes, and {why} are"
            f" {len(labels)} labels; pass --labels with {match.classes}"
        )
    return labels


def _licence(file: Foreign, given: str | None) -> tuple[str, str]:
    if given is not None:
        return given, GIVEN
    stated = file.metadata.get("license") or file.metadata.get("licence")
    if stated:
        return stated, "license of the metadata"
    return UNKNOWN_LICENCE, "the file does not say"


def _listed(labels: Sequence[Label]) -> str:
    names = ", ".join(label.name for label in labels[:3])
    return f"{len(labels)}: {names}{', …' if len(labels) > 3 else ''}"
