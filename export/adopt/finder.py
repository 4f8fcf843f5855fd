"""Proposes what reads a file: its decoder, input and labels, each with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from export.adopt.decoders import DECODERS
from export.adopt.decoders.row import Decoder, Given, Match, Preprocessing, Told
from export.adopt.foreign import Foreign
from export.adopt.plan import GIVEN, Finding, Plan
from export.adopt.safety import ForeignError
from export.report.tables import UNKNOWN_LICENCE
from service.manifest import Label

USUAL = {80: "coco80", 90: "coco", 91: "coco91", 1000: "imagenet1k"}  # labels by their number
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
    known, why_labels = (labels, GIVEN) if labels is not None else _named(file)
    decoder, match = _decoder(file, replace(given, labels=known))
    told = _preprocessing(file, decoder, given)
    if known is None and match.labels:
        known, why_labels = to_labels(enumerate(match.labels)), f"always those of {decoder.title}"
    chosen = _labels(file, match, known, why_labels)
    licence, why_licence = _licence(file, licence)
    why_decoder = match.why + (f"; {GIVEN}" if given.decoder else "")
    findings = (
        Finding("decoder", f"{decoder.name}: {decoder.title}", why_decoder),
        Finding("input size", f"{file.width} x {file.height}", file.why["size"]),
        Finding("layout", file.layout, file.why["layout"]),
        *_input_findings(decoder, told, given),
        Finding("labels", _listed(chosen), why_labels),
        Finding("licence", licence, why_licence, licence != UNKNOWN_LICENCE),
    )
    return Plan(file, decoder, match, told.preprocessing, chosen, licence, findings)


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
            f"{file.path}: its outputs {shapes} are of no family that is known; name one with"
            f" --decoder ({', '.join(DECODERS)})"
        )
    if len(found) > 1:
        raise ForeignError(
            f"{file.path}: its outputs {shapes} may be of {found[0][0].title}, or of"
            f" {found[1][0].title}: pass --decoder {found[0][0].name} or"
            f" --decoder {found[1][0].name}"
        )
    return found[0]


def _preprocessing(file: Foreign, decoder: Decoder, given: Given) -> Told:
    """The family's, what the file shows of it, and over both what the user gave."""
    own = decoder.preprocessing
    told = Told(own) if isinstance(own, Preprocessing) else own(file)
    chosen = replace(told.preprocessing, **given.preprocessing)
    if file.image.dtype == "uint8":
        chosen = replace(chosen, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Told(chosen, told.why)


def _input_findings(decoder: Decoder, told: Told, given: Given) -> list[Finding]:
    """What is done to a photo. Of what neither file nor user says, the family's usual is taken."""
    usual = f"usual of {decoder.title.split(':')[0]}; the file does not say"
    p, stated = told.preprocessing, set(given.preprocessing)
    rows = (
        ("channel order", p.channel_order, ("channel_order",)),
        (
            "normalisation",
            f"(x * {p.scale:.4g} - {_triple(p.mean)}) / {_triple(p.std)}",
            NORMALISATION,
        ),
        ("resize", _resize(p), ("resize", "anchor", "fill", "crop")),
        (
            "interpolation",
            f"{p.interpolation}{'' if p.antialias else ', no antialias'}",
            ("interpolation", "antialias"),
        ),
    )
    findings = []
    for name, value, names in rows:
        why = GIVEN if stated.intersection(names) else told.why.get(name)
        findings.append(Finding(name, value, why or usual, why is not None))
    return findings


def _resize(p: Preprocessing) -> str:
    if p.resize == "letterbox":
        return f"letterbox, {p.anchor.replace('_', ' ')}, filled with {p.fill[0]}"
    return p.resize.replace("_", " ")


def _triple(values: Sequence[float]) -> str:
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len({*shown}) == 1 else f"({', '.join(shown)})"


def _named(file: Foreign) -> tuple[tuple[Label, ...] | None, str]:
    """The labels that the metadata names, and why."""
    names = file.fact("names")
    if not isinstance(names, dict | list) or not names:
        return None, ""
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return to_labels(sorted(pairs)), "names of the metadata"


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
            f" {len(labels)} labels"
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
