"""Observations of a run, and the ratios between them."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Where = dict[str, Any]


@dataclass(frozen=True)
class Observation:
    """One figure of one round.

    system: "Boxport", "upper bound", "minimal server" or a peer. model: a package's name. photos:
    "small", "phone", "interleaved" or "growth <quantity>". load: such as "closed 16" or "open 70".
    metric: with its unit, such as p50_ms.
    """

    system: str
    model: str
    photos: str
    load: str
    metric: str
    value: float
    round: int = 0


@dataclass
class Results:
    """Everything that a report is made from.

    machine: hardware and software of the run. settings: of the run. missing: peers that were not
    measured, and the reasons.
    """

    machine: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    def add(
        self,
        figures: dict[str, float],
        *,
        system: str,
        model: str,
        photos: str,
        load: str,
        turn: int = 0,
    ) -> None:
        """Record ``figures``, by metric."""
        self.observations += [
            Observation(system, model, photos, load, metric, value, turn)
            for metric, value in figures.items()
        ]

    def by_round(self, **where: Any) -> dict[int, float]:
        """The values of the observations that match ``where``, by round."""
        return {
            seen.round: seen.value
            for seen in self.observations
            if all(getattr(seen, name) == value for name, value in where.items())
        }

    def median(self, **where: Any) -> float | None:
        values = self.by_round(**where).values()
        return statistics.median(values) if values else None

    def names(self, field_name: str, **where: Any) -> list[str]:
        """The values of a field among the observations that match, in order of appearance."""
        found = (
            getattr(seen, field_name)
            for seen in self.observations
            if all(getattr(seen, name) == value for name, value in where.items())
        )
        return list(dict.fromkeys(found))

    def paired(
        self, first: Where, second: Where, combine: Callable[[float, float], float]
    ) -> list[float]:
        """``combine`` of the two values of each round that has both: the machine's drift affected
        both alike."""
        one, other = self.by_round(**first), self.by_round(**second)
        return [combine(one[turn], other[turn]) for turn in sorted(one.keys() & other.keys())]

    def ratio(self, first: Where, second: Where) -> float | None:
        return _median(self.paired(first, second, lambda a, b: a / b))

    def difference(self, first: Where, second: Where) -> float | None:
        return _median(self.paired(first, second, lambda a, b: a - b))

    def best(self, field_name: str, **where: Any) -> str | None:
        """The value of a field that has the greatest median."""
        medians = {
            name: self.median(**{**where, field_name: name})
            for name in self.names(field_name, **where)
        }
        known = {name: value for name, value in medians.items() if value is not None}
        return max(known, key=lambda name: known[name]) if known else None

    @property
    def background_load(self) -> tuple[float, float] | None:
        """Median and greatest share of the processors' time that other processes took during a
        load."""
        shares = [seen.value for seen in self.observations if seen.metric == "background_load"]
        return (statistics.median(shares), max(shares)) if shares else None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Results":
        content = json.loads(path.read_text())
        seen = [Observation(**row) for row in content.pop("observations")]
        return cls(**content, observations=seen)


def quantile(values: Sequence[float], share: float) -> float:
    """The ``share`` quantile of ``values``, 0 to 1, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
