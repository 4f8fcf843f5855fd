"""Short turns, with everybody up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.answers import reference
from benchmarks.contenders import HEAT, Other, Scene
from benchmarks.heats import heats, run_heats
from benchmarks.packages import MODELS
from benchmarks.peers.table import PEERS
from benchmarks.results import Results
from benchmarks.server import Server, ServerError

CLASSIFIER = MODELS[-1]
LOADS = {"closed 1", "closed 16", "open 50", "open 70", "open 90"}


@pytest.fixture
def scene(photos: Path) -> Scene:
    photo = next(iter(sorted(photos.glob("*.jpg"))))
    package = CLASSIFIER.package
    expected = reference(package, photo)
    return Scene(CLASSIFIER, package, "small", photos, photo, expected, 0.4, 0, whole=True)


def test_heats_are_told_by_their_number(scene: Scene) -> None:
    results, said = Results(), []
    run_heats(scene, [Other(PEERS[0])], 2, results, said.append)
    assert said == [f"{CLASSIFIER.name}: heat {number}" for number in (1, 2)]
    ours, limit = ({"who": who, "photos": HEAT} for who in ("Boxport", "limit"))
    assert set(results.names("load", **ours)) == LOADS
    assert set(results.names("load", **limit)) == {"closed 1", "closed 16", "open 70"}
    bare = {"who": "bare server", "photos": HEAT, "load": "closed 1", "metric": "p50_ms"}
    assert results.by_round(**bare).keys() == {0, 1}
    for load in LOADS:
        assert results.by_round(**ours, load=load, metric="p99_ms").keys() == {0, 1}
    both = {"load": "closed 16", "metric": "cpu_ms"}
    assert results.difference({**ours, **both}, {**limit, **both}) is not None
    assert results.names("who") == ["limit", "Boxport", "bare server"], "no peer was among the best"


@dataclass(frozen=True)
class Broken(Other):
    """A peer that never starts."""

    @contextmanager
    def serving(self, scene: Scene, folder: Path) -> Iterator[Server]:
        raise ServerError("it has no Java")
        yield


def test_a_peer_that_does_not_start_is_told(scene: Scene) -> None:
    results = Results()
    with heats(scene, [Broken(PEERS[0])], results) as up:
        assert up.peers == {}
    assert results.missing == {"FastAPI": "it has no Java"}
