"""Prints the figures of a test, and records them in the folder BOXPORT_SOAK_RESULTS."""

import json
import os
from pathlib import Path

from benchmarks.results import quantile

RESULTS_VARIABLE = "BOXPORT_SOAK_RESULTS"


def record(test: str, **figures: object) -> None:
    """Print ``figures``, and add them as a line to soak.jsonl in the folder of results, if any."""
    line = json.dumps({"test": test, **figures})
    print(line)
    if folder := os.environ.get(RESULTS_VARIABLE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with (Path(folder) / "soak.jsonl").open("a") as results:
            results.write(f"{line}\n")


def length(variable: str, full: float) -> float:
    """The length of a test: the variable BOXPORT_SOAK_<variable>, or the default."""
    return float(os.environ.get(f"BOXPORT_SOAK_{variable}", full))


def milliseconds(values: list[float]) -> dict[str, float]:
    """Percentiles of ``values``, which are seconds; none of none."""
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(quantile(values, share) * 1000, 1) for name, share in shares.items() if values
    }
