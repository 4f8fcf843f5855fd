"""Columns side by side on the same photos, and whether one is too far below the first."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from export.evaluation.column import Column
from export.evaluation.figures import Figures, agreement, measure, rounded
from export.evaluation.photo_set import PhotoSet, PhotoSetError
from export.progress import OnProgress
from service.manifest import ModelManifest
from service.package import PackageError

# The first of these that was measured decides. It may be so many points of a hundred below the
# reference's: answers that differ cancel out in AP, not in agreement.
TOLERANCES = {"mask_ap": 0.5, "ap": 0.5, "top1": 0.5, "agreement": 3.0}
# of float32 weights that are only run otherwise
BF16_TOLERANCES = TOLERANCES | {"mask_ap": 0.1, "ap": 0.1}
ROUNDING = 1e-9

OnColumn = Callable[[Column], OnProgress]  # called as a column begins, for what shows its progress


@dataclass(frozen=True)
class Result:
    """A column's figures. ``agreement`` is that with the reference, in 0..1; None if neither finds
    anything."""

    column: Column
    figures: Figures
    agreement: float | None
    images_per_second: float

    def value(self, metric: str) -> float:
        """One of `TOLERANCES`, in 0..1."""
        return (self.agreement or 0.0) if metric == "agreement" else self.figures.metrics[metric]


@dataclass(frozen=True)
class Comparison:
    """Results, of which the first is the reference.

    metric: the figure that decides, one of `TOLERANCES`.
    tolerance: how far a column's may fall below the reference's, in points of a hundred.
    """

    photos: PhotoSet
    metric: str
    tolerance: float
    results: tuple[Result, ...]

    @property
    def reference(self) -> Result:
        return self.results[0]

    def drop(self, result: Result) -> float:
        """Points of a hundred by which ``result`` lies below the reference; negative above it."""
        return 100 * (self.reference.value(self.metric) - result.value(self.metric))

    def passes(self, result: Result) -> bool:
        return self.drop(result) <= self.tolerance + ROUNDING

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not self.passes(result))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; figures in 0..1, except those whose name says points."""
        return {
            "data": self.photos.name,
            "images": len(self.photos.photos),
            "images_in_data": self.photos.total,
            "gate": {
                "metric": self.metric,
                "tolerance_points": self.tolerance,
                "passed": not self.failures,
            },
            "columns": [
                {
                    "title": result.column.title,
                    "source": result.column.source,
                    "sha256": result.column.sha256,
                    "metrics": rounded(result.figures.metrics, 6),
                    "classes": rounded(result.figures.classes, 6),
                    "agreement": None if (a := result.agreement) is None else round(a, 6),
                    "drop_points": round(self.drop(result), 4),
                    "passed": self.passes(result),
                    "images_per_second": round(result.images_per_second, 2),
                }
                for result in self.results
            ],
        }


def compare(
    columns: Sequence[Column],
    photos: PhotoSet,
    on_column: OnColumn,
    tolerance: float | None = None,
    tolerances: Mapping[str, float] = TOLERANCES,
) -> Comparison:
    """Have each column answer all photos; the first is the reference.

    tolerance: points of a hundred; None takes that of ``tolerances``.

    Raises PackageError if the columns are of different tasks or labels, PhotoSetError if there is
    nothing to measure, and what a column raises.
    """
    _check_alike([column.manifest for column in columns])
    if photos.objects is None and photos.classes is None and len(columns) == 1:
        raise PhotoSetError(
            f"{photos.name}: nothing is known of these photos, and there is no second column to"
            " agree with; give annotations, folders of classes, another package or the weights"
        )
    results: list[Result] = []
    reference = None
    for column in columns:
        started = time.perf_counter()
        answers = column.answer(photos.photos, on_column(column))
        seconds = time.perf_counter() - started
        reference = answers if reference is None else reference
        results.append(
            Result(
                column,
                measure(photos, answers),
                agreement(column.manifest, answers, reference),
                len(answers) / seconds,
            )
        )
    measured = results[0].figures.metrics
    metric = next((name for name in TOLERANCES if name in measured), "agreement")
    tolerance = tolerances[metric] if tolerance is None else tolerance
    comparison = Comparison(photos, metric, tolerance, tuple(results))
    _check_worth(comparison)
    return comparison


def _check_worth(comparison: Comparison) -> None:
    """Raise PhotoSetError where any column would pass."""
    first, photos = comparison.reference, comparison.photos
    if len(comparison.results) == 1:
        return
    name = f"{first.column.title} {first.column.source}"
    if comparison.metric == "agreement" and first.agreement is None:
        raise PhotoSetError(
            f"{photos.name}: {name} finds nothing in {len(photos.photos)} photos above its default"
            " threshold, so there is nothing to agree on; give photos of what it was trained to"
            " find"
        )
    if first.value(comparison.metric) == 0:
        raise PhotoSetError(
            f"{photos.name}: {name} has {comparison.metric} 0, below which nothing can fall; are"
            " these photos and classes of what it was trained on?"
        )


def _check_alike(manifests: Sequence[ModelManifest]) -> None:
    first = manifests[0]
    for other in manifests[1:]:
        names = f"{first.name}/{first.version} and {other.name}/{other.version}"
        if other.task != first.task:
            raise PackageError(f"{names}: one does {first.task}, the other {other.task}")
        if set(other.labels) != set(first.labels):
            raise PackageError(f"{names}: their labels differ, so their answers do not compare")
