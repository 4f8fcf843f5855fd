"""What was observed, and how it is put into ratios."""

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

    who: "Boxport", "limit", or a peer. model: a package's name. photos: "small", "phone", or what
    of them grows. load: how they were asked for, such as "closed 16" or "open 70". metric: with its
    unit, such as p50_ms.
    """

    who: str
    model: str
    photos: str
    load: str
    metric: str
    value: float
    round: int = 0


@dataclass
class Results:
    """Everything that a report is written of.

    machine: what it ran on, and with. missing: why peers, by name, were not measured.
    settings: of the run.
    """

    machine: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    def add(
        self,
        figures: dict[str, float],
        *,
        who: str,
        model: str,
        photos: str,
        load: str,
        turn: int = 0,
    ) -> None:
        """Keep ``figures``, by metric."""
        self.observations += [
            Observation(who, model, photos, load, metric, value, turn)
            for metric, value in figures.items()
        ]

    def by_round(self, **where: Any) -> dict[int, float]:
        """The values of the observations whose fields are these, by round."""
        return {
            seen.round: seen.value
            for seen in self.observations
            if all(getattr(seen, name) == value for name, value in where.items())
        }

    def median(self, **where: Any) -> float | None:
        values = self.by_round(**where).values()
        return statistics.median(values) if values else None

    def names(self, field_name: str, **where: Any) -> list[str]:
        """What a field of such observations can be, in the order of their coming."""
        found = (
            getattr(seen, field_name)
            for seen in self.observations
            if all(getattr(seen, name) == value for name, value in where.items())
        )
        return list(dict.fromkeys(found))

    def paired(
        self, first: Where, second: Where, combine: Callable[[float, float], float]
    ) -> list[float]:
        """``combine`` of the two values of each round that has both: what else the machine did
        then, it did to both."""
        one, other = self.by_round(**first), self.by_round(**second)
        return [combine(one[turn], other[turn]) for turn in sorted(one.keys() & other.keys())]

    def ratio(self, first: Where, second: Where) -> float | None:
        return _median(self.paired(first, second, lambda a, b: a / b))

    def difference(self, first: Where, second: Where) -> float | None:
        return _median(self.paired(first, second, lambda a, b: a - b))

    def best(self, field_name: str, **where: Any) -> str | None:
        """Which value of a field has the greatest median."""
        medians = {
            name: self.median(**{**where, field_name: name})
            for name in self.names(field_name, **where)
        }
        known = {name: value for name, value in medians.items() if value is not None}
        return max(known, key=lambda name: known[name]) if known else None

    @property
    def others(self) -> tuple[float, float] | None:
        """Median and greatest share of the processors that others took during a load."""
        shares = [seen.value for seen in self.observations if seen.metric == "others"]
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
    """The least of ``values`` that so great a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
