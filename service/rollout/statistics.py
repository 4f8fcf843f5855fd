"""Figures of two versions, as sums that several processes can add up, and their 95 % intervals."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Z = 1.959964  # of a normal distribution, beyond which 2.5 % lie on each side
# Upper bounds of latencies in seconds: from a tenth of a millisecond on, each 8 % above the last.
BOUNDS = [1e-4 * 1.08**i for i in range(180)]
SIDE_PARTS = (2, len(BOUNDS) + 1, 3)  # cells of the fields, in their order
TALLY_PARTS = (sum(SIDE_PARTS), sum(SIDE_PARTS), 3, 6, 6, 3)


@dataclass(frozen=True)
class Estimate:
    """A figure, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(successes: float, trials: float) -> Estimate | None:
    """A share, with Wilson's score interval (1927); None without trials.

    Unlike the normal approximation it holds for shares near 0 and 1, and for few trials.
    """
    if trials <= 0:
        return None
    p = successes / trials
    scale = 1 + Z * Z / trials
    centre = (p + Z * Z / (2 * trials)) / scale
    half = Z / scale * math.sqrt(p * (1 - p) / trials + Z * Z / (4 * trials * trials))
    return Estimate(p, max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)))


def ratio(sums: Array) -> Estimate | None:
    """The share of ``sums``, as `clusters` makes them, with Wilson's interval for as many trials as
    the clusters are worth.

    Detections of one photo are right or wrong together, and so worth less than as many of their own
    photos. How much less is the design effect (Kish 1965): the variance of the share from photo to
    photo, over that of independent detections. Where all agree, or none, a photo counts for one.
    """
    photos, x, y, xx, xy, yy = map(float, sums)
    if y <= 0:
        return None
    p = x / y
    trials = min(photos, y)
    if 0 < p < 1 and photos > 1:
        spread = max(xx - 2 * p * xy + p * p * yy, 0.0) * photos / (photos - 1)  # of sum(x - p y)
        variance = spread / (y * y)
        trials = min(y, p * (1 - p) / variance) if variance > 0 else y
    return wilson(p * trials, trials)


def clusters(x: float, y: float) -> Array:
    """A photo's part of the sums that `ratio` reads: ``x`` of its ``y``."""
    return np.array([1.0 if y else 0.0, x, y, x * x, x * y, y * y])


def mean(sums: Array) -> Estimate | None:
    """Of sums of 1, value and square; with the interval of a normal distribution."""
    number, total, squares = map(float, sums)
    if not number:
        return None
    value = total / number
    variance = max(squares / number - value * value, 0.0) * number / max(number - 1, 1)
    half = Z * math.sqrt(variance / number)
    return Estimate(value, value - half, value + half)


def moments(value: float) -> Array:
    return np.array([1.0, value, value * value])


def bucket_of(seconds: float) -> int:
    return bisect_left(BOUNDS, seconds)


def quantile(counts: Array, share: float) -> float | None:
    """Seconds that ``share`` of the latencies in ``counts`` are within, to 8 %; None if none is."""
    total = counts.sum()
    if not total:
        return None
    place = int(np.searchsorted(np.cumsum(counts), share * total))
    return BOUNDS[min(place, len(BOUNDS) - 1)]


def slower(counts: Array, seconds: float) -> Estimate | None:
    """The share of the latencies in ``counts`` that are longer than ``seconds``, to 8 %.

    p99 lies above ``seconds`` just if more than a hundredth is: so an interval of this share says
    of p99 what its own estimate from few requests cannot.
    """
    return wilson(float(counts[bucket_of(seconds) + 1 :].sum()), float(counts.sum()))


class Side:
    """Sums of one version.

    answers: requests that it was to answer, and those of them that it failed on.
    latencies: of those requests, by the buckets of `BOUNDS`.
    runs: moments of the seconds in inference of the photos that were compared.
    """

    def __init__(self, cells: Array) -> None:
        self.answers, self.latencies, self.runs = _parts(cells, SIDE_PARTS)

    def note_answer(self, seconds: float, *, failed: bool = False) -> None:
        self.answers += (1, failed)
        if not failed:
            self.latencies[bucket_of(seconds)] += 1


class Tally:
    """All sums of one rollout.

    cells: that they are in, of which the fields are views.
    photos: compared, dropped, failed on by the candidate.
    agreement, relabelled: see `clusters`; of what agrees, and of boxes whose label differs.
    scores: moments of the absolute differences of matched scores.
    """

    def __init__(self, cells: Array | None = None) -> None:
        self.cells = np.zeros(sum(TALLY_PARTS)) if cells is None else cells
        candidate, baseline, *others = _parts(self.cells, TALLY_PARTS)
        self.candidate, self.baseline = Side(candidate), Side(baseline)
        self.photos, self.agreement, self.relabelled, self.scores = others


def _parts(cells: Array, sizes: Sequence[int]) -> list[Array]:
    """Views of as many cells each."""
    return np.split(cells, np.cumsum(sizes)[:-1])
