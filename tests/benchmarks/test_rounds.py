"""Who has a turn, and when."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.contenders import InProcess, Other, OurOwn, Scene
from benchmarks.growth import copy_package
from benchmarks.packages import MODELS
from benchmarks.peers.table import PEERS
from benchmarks.results import Results
from benchmarks.rounds import Course, contenders_of, run_turns, turns
from benchmarks.server import ServerError

PEER = Other(PEERS[0])


@pytest.fixture(scope="module")
def course(store: Path) -> Course:
    classifier = MODELS[-1]
    return Course([classifier], {"small": store}, {classifier.name: classifier.package}, 1.0, 2)


def test_whoever_was_first_is_last_in_the_next_round(course: Course) -> None:
    plain = replace(course, int8={})
    names = [contender.name for _, contender in turns(plain, [InProcess(), OurOwn(), PEER])]
    assert names == ["limit", "Boxport", "FastAPI", "Boxport", "FastAPI", "limit"]


def test_peers_are_not_measured_in_8_bits(course: Course, tmp_path: Path) -> None:
    model = course.models[0]
    in_8_bits = tmp_path / f"{model.name}_int8" / "1"
    copy_package(model.package, in_8_bits)
    both = replace(course, int8={model.name: in_8_bits}, rounds=1)
    planned = [
        (scene.package.parent.name, who.name) for scene, who in turns(both, [OurOwn(), PEER])
    ]
    assert planned == [
        (model.name, "Boxport"),
        (model.name, "FastAPI"),
        (in_8_bits.parent.name, "Boxport"),
    ]


@dataclass(frozen=True)
class Broken(Other):
    """A peer that never starts."""

    def measure(self, scene: Scene, results: Results, folder: Path) -> None:
        results.add({"tries": 1}, who=self.name, model="", photos="", load="", turn=scene.turn)
        raise ServerError("it has no Java")


def test_a_peer_that_fails_is_told_and_not_tried_again(course: Course) -> None:
    results = Results()
    planned = list(turns(replace(course, int8={}), [Broken(PEERS[0])]))
    run_turns(planned, results, lambda name: None)
    assert len(planned) == 2
    assert results.missing == {"FastAPI": "it has no Java"}
    assert len(results.observations) == 1


def test_parts_choose_who_takes_turns() -> None:
    names = [who.name for who in contenders_of(["boxport", "peers", "growth"], [PEER])]
    assert names == ["Boxport", "FastAPI"]
