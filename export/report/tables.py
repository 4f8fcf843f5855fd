"""The words and figures of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

from export.evaluation.figures import METRIC_NAMES
from export.report.latency import Latency
from models.training.report.page import Headline
from service.manifest import ModelManifest
from service.provenance import REFERENCES, Accuracy, GraphParity

FEW_PHOTOS = 20  # a parity or accuracy figure of fewer says little
BUSY = 0.9  # share of the time on one thread; with less, other work had the processor
MOST_DROP = 0.005  # of AP or top-1 below the best precision shown
UNKNOWN_LICENCE = "unknown"
PERMISSIVE = ("apache", "mit", "bsd", "isc", "cc0", "unlicense")  # such licences begin so
UNSTATED = "–"  # noqa: RUF001
LEADING = ("ap", "ap50", "top1", "top5")
RESIZES = {
    "letterbox": "fitted in, the rest filled",
    "stretch": "each side scaled by itself",
    "shorter_side": "shorter side scaled, both filled up to a multiple",
    "centre_crop": "shorter side scaled, the middle cut out",
}


@dataclass(frozen=True)
class Measured:
    """A package of the report, with the size of its graph's file and its latency here."""

    manifest: ModelManifest
    graph_bytes: int
    latency: tuple[Latency, ...]

    @property
    def title(self) -> str:
        return self.manifest.precision

    @property
    def metrics(self) -> dict[str, float]:
        return {} if self.manifest.accuracy is None else self.manifest.accuracy.metrics

    @property
    def classes(self) -> dict[str, float]:
        return (self.manifest.accuracy and self.manifest.accuracy.classes) or {}


def metric_name(key: str) -> str:
    return METRIC_NAMES.get(key, key)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def main_metric(accuracy: Accuracy) -> str:
    """AP, or top-1, or whatever there is."""
    known = (key for key in ("ap", "top1") if key in accuracy.metrics)
    return next(known, next(iter(accuracy.metrics)))


def headlines(package: Measured) -> list[Headline]:
    """The figures that decide whether a package is of use."""
    manifest, accuracy = package.manifest, package.manifest.accuracy
    first = package.latency[0]
    return [
        Headline("Parity", "Passed", parity_sentence(manifest), leading=True),
        accuracy_headline(accuracy),
        Headline(
            "One photo",
            milliseconds(first.ms_per_image),
            f"on one thread, {first.images_per_second:.3g} photos a second",
        ),
        Headline("File", megabytes(package.graph_bytes), f"{manifest.precision}, one ONNX file"),
        Headline("Licence", manifest.provenance.licence, "of the weights, as stated at export"),
    ]


def accuracy_headline(accuracy: Accuracy | None) -> Headline:
    if accuracy is None or not accuracy.metrics:
        return Headline("Accuracy", UNSTATED, "was not measured at export")
    key = main_metric(accuracy)
    others = [f"{metric_name(k)} {v:.3f}" for k, v in accuracy.metrics.items() if k != key][:1]
    meaning = ", ".join([*others, f"{accuracy.images:,} photos"])
    return Headline(metric_name(key), f"{accuracy.metrics[key]:.3f}", meaning)


def reference_name(parity: GraphParity) -> str:
    return REFERENCES[parity.reference]


def parity_sentence(manifest: ModelManifest) -> str:
    parity = manifest.parity
    subject = "The package" if parity.graph else "ONNX Runtime"
    parts = [f"scores within {parity.max_score_difference:.2g}"]
    if parity.max_box_difference_px is not None:
        parts.append(f"boxes within {parity.max_box_difference_px:.2g} px")
    if parity.max_contour_difference_px is not None:
        parts.append(f"contours within {parity.max_contour_difference_px:.2g} px")
    share = "" if parity.agreeing == 1 else f" in {percent(parity.agreeing)} of its answers"
    compared = (
        f" and {parity.detections_compared:,} detections" if parity.detections_compared else ""
    )
    return (
        f"{subject} answers as {reference_name(parity)} does{share}: {', '.join(parts)},"
        f" on {parity.images} photos{compared}"
    )


def summary(manifest: ModelManifest) -> str:
    count = len(manifest.labels)
    if manifest.task == "detection":
        use = f"Finds objects of {count:,} classes"
    else:
        several = ", several at once" if manifest.activation == "sigmoid" else ""
        use = f"Says which of {count:,} classes a photo shows{several}"
    return (
        f"{use}. {manifest.provenance.architecture} in one ONNX file, {manifest.precision},"
        " from raw pixels to final answers."
    )


def reservations(package: Measured, others: Sequence[Measured]) -> list[str]:
    """Reasons not to deploy the package as it is, one sentence each."""
    manifest = package.manifest
    found = []
    if manifest.provenance.licence == UNKNOWN_LICENCE:
        found.append("The licence of the weights is unknown: find it out first.")
    elif manifest.provenance.adopted and not is_permissive(manifest.provenance.licence):
        licence = manifest.provenance.licence
        found.append(f"The weights are under {licence}: see what it asks of those who serve them.")
    found += adoption_reservations(manifest)
    if not package.metrics:
        found.append("Accuracy was not measured at export: `python -m export evaluate` does it.")
    elif manifest.accuracy is not None and manifest.accuracy.images < FEW_PHOTOS:
        found.append(f"Accuracy was measured on {manifest.accuracy.images} photos only.")
    drop = accuracy_drop(package, others)
    if drop is not None and drop[0] > MOST_DROP:
        found.append(f"It loses {100 * drop[0]:.1f} points of {drop[1]} against {drop[2]}.")
    if package.latency[0].cpu_share < BUSY:
        found.append(
            "The machine was busy with other work when latency was measured: this package had a"
            f" processor for {percent(package.latency[0].cpu_share)} of the time."
            " Alone it is faster."
        )
    if manifest.parity.agreeing < 1:
        found.append(
            f"{percent(1 - manifest.parity.agreeing)} of its answers differ from those of"
            f" {reference_name(manifest.parity)} by more than the tolerance."
        )
    return found


def is_permissive(licence: str) -> bool:
    """Whether a licence asks nothing of a service."""
    return licence.lower().startswith(PERMISSIVE)


def adoption_reservations(manifest: ModelManifest) -> list[str]:
    """Of a package that was made of another tool's file: what is not known, and what it costs."""
    adopted, found = manifest.provenance.adopted, []
    if adopted is not None and adopted.assumed:
        found.append(
            f"The file does not say its {', '.join(adopted.assumed)}: the usual of its family was"
            " taken."
        )
    if manifest.parity.unproven:
        found.append(
            f"Unproven: {', '.join(manifest.parity.unproven)}. Both sides of the comparison share"
            " it; look at the examples below, or measure the accuracy."
        )
    if adopted is not None and adopted.batch == "scan":
        found.append(
            "The file takes one photo and could not be rewritten: batches run photo by photo, on"
            " one thread, which costs up to half of the speed."
        )
    floor = getattr(manifest, "floor", None)
    if floor is not None:
        found.append(
            f"The file suppresses by itself: nothing scores below {floor.score_threshold:g}, no"
            f" overlap is above {floor.iou_threshold:g}, and a photo has {floor.max_detections}"
            " detections at most, whatever a request asks for."
        )
    return found


def accuracy_drop(package: Measured, others: Sequence[Measured]) -> tuple[float, str, str] | None:
    """How far, in 0..1, the package falls behind the best of ``others`` on the same photos; the
    metric, and which it is."""
    accuracy = package.manifest.accuracy
    if accuracy is None or not accuracy.metrics:
        return None
    key = main_metric(accuracy)
    comparable = [
        (other.metrics[key], other.title)
        for other in others
        if other.manifest.accuracy is not None
        and other.manifest.accuracy.data == accuracy.data
        and key in other.metrics
    ]
    if not comparable:
        return None
    best, title = max(comparable)
    return best - accuracy.metrics[key], metric_name(key), title


def input_rows(manifest: ModelManifest) -> dict[str, str]:
    """How a photo becomes the graph's input."""
    spec = manifest.input
    varies = "up to " if spec.varies else ""
    rows = {
        "Size": f"{varies}{spec.width} × {spec.height} pixels",  # noqa: RUF001
        "Resize": RESIZES[spec.resize],
        "Interpolation": spec.interpolation,
    }
    if spec.resize == "centre_crop":
        rows["Shorter side"] = f"{spec.shorter_side} pixels"
    else:
        if spec.resize == "shorter_side":
            rows["Shorter side"] = (
                f"{spec.shorter_side} pixels, longer side at most {spec.longer_side}"
            )
        if spec.resize == "letterbox":
            rows["Photo lies in"] = (
                "the centre" if spec.anchor == "centre" else "the top left corner"
            )
        if not spec.antialias:
            rows["Interpolation"] += ", without antialias"
        if spec.resize != "stretch":
            rows["Filled with"] = f"RGB {', '.join(map(str, spec.fill))}"
    rows["Normalisation, inside the graph"] = (
        f"{spec.channel_order.upper()} / {spec.unit:g},"
        f" mean {', '.join(f'{x:g}' for x in spec.mean)};"
        f" std {', '.join(f'{x:g}' for x in spec.std)}"
    )
    defaults = manifest.defaults.model_dump().items()
    rows["Defaults"] = ", ".join(f"{name} {value:g}" for name, value in defaults)
    return rows


def tolerance_rows(manifest: ModelManifest) -> list[tuple[str, str, str]]:
    """Name, greatest difference seen, and what the tolerance allows."""
    parity, tolerance = manifest.parity, manifest.parity.tolerance
    rows = [("Scores differ by", f"{parity.max_score_difference:.2g}", "at most {0.score:g}")]
    if parity.max_box_difference_px is not None:
        exact = tolerance is not None and tolerance.box_px is not None
        allowed = "at most {0.box_px:g} px" if exact else UNSTATED
        rows.append(("Boxes differ by", f"{parity.max_box_difference_px:.2g} px", allowed))
    if parity.min_iou is not None:
        rows.append(("Boxes overlap (IoU)", f"{parity.min_iou:.4f}", "at least {0.iou:g}"))
    rows.append(("Answers that agree", percent(parity.agreeing), "at least {1}"))
    if tolerance is None:
        return [(name, seen, UNSTATED) for name, seen, _ in rows]
    share = percent(tolerance.matched)
    return [(name, seen, allowed.format(tolerance, share)) for name, seen, allowed in rows]
