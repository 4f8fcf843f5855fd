"""Short turns, with all systems up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import interleaved
from benchmarks.answers import reference
from benchmarks.interleaved import run_interleaved
from benchmarks.packages import MODELS
from benchmarks.peers.table import PEERS
from benchmarks.results import Results
from benchmarks.server import Server, ServerError
from benchmarks.systems import INTERLEAVED, PeerServer, Scenario

CLASSIFIER = MODELS[-1]
LOADS = {"closed 1", "closed 16", "open 50", "open 70", "open 90"}


@pytest.fixture
def scenario(photos: Path) -> Scenario:
    photo = next(iter(sorted(photos.glob("*.jpg"))))
    package = CLASSIFIER.package
    expected = reference(package, photo)
    return Scenario(CLASSIFIER, package, "small", photos, photo, expected, 0.05, 0, whole=True)


@dataclass(frozen=True)
class Broken(PeerServer):
    """A peer that never starts."""

    @contextmanager
    def serving(self, scenario: Scenario, folder: Path) -> Iterator[Server]:
        raise ServerError("it has no Java")
        yield


def test_every_system_is_measured_in_every_round(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the peers that are not among the best, and the best one, which does not start."""
    monkeypatch.setattr(interleaved, "settle", lambda server: None)  # no figure counts here
    results, said = Results(), []
    results.add(
        {"per_second": 1}, system="FastAPI", model=CLASSIFIER.name, photos="small", load="closed 16"
    )
    run_interleaved(scenario, [Broken(peer) for peer in PEERS[:3]], 2, results, said.append)
    assert results.missing == {"FastAPI": "it has no Java"}
    assert said == [f"{CLASSIFIER.name}: interleaved round {number}" for number in (1, 2)]
    ours, in_process = (
        {"system": system, "photos": INTERLEAVED} for system in ("Boxport", "upper bound")
    )
    assert set(results.names("load", **ours)) == LOADS
    assert set(results.names("load", **in_process)) == {"closed 1", "closed 16", "open 70"}
    minimal = {"system": "minimal server", "photos": INTERLEAVED, "load": "closed 1"}
    assert results.by_round(**minimal, metric="p50_ms").keys() == {0, 1}
    for load in LOADS:
        assert results.by_round(**ours, load=load, metric="p99_ms").keys() == {0, 1}
    both = {"load": "closed 16", "metric": "cpu_ms"}
    assert results.difference({**ours, **both}, {**in_process, **both}) is not None
