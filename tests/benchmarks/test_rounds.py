"""Which system has a turn, and when."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.growth import copy_package
from benchmarks.packages import MODELS
from benchmarks.peers.table import PEERS
from benchmarks.results import Results
from benchmarks.rounds import Schedule, run_turns, systems_of, turns
from benchmarks.server import ServerError
from benchmarks.systems import BoxportServer, InProcess, PeerServer, Scenario

PEER = PeerServer(PEERS[0])


@pytest.fixture(scope="module")
def schedule(store: Path) -> Schedule:
    classifier = MODELS[-1]
    return Schedule([classifier], {"small": store}, {classifier.name: classifier.package}, 1.0, 2)


def test_the_order_of_systems_rotates_from_round_to_round(schedule: Schedule) -> None:
    plain = replace(schedule, int8={})
    names = [system.name for _, system in turns(plain, [InProcess(), BoxportServer(), PEER])]
    assert names == ["upper bound", "Boxport", "FastAPI", "Boxport", "FastAPI", "upper bound"]


def test_peers_are_not_measured_in_8_bits(schedule: Schedule, tmp_path: Path) -> None:
    model = schedule.models[0]
    in_8_bits = tmp_path / f"{model.name}_int8" / "1"
    copy_package(model.package, in_8_bits)
    both = replace(schedule, int8={model.name: in_8_bits}, rounds=1)
    planned = [
        (scenario.package.parent.name, system.name)
        for scenario, system in turns(both, [BoxportServer(), PEER])
    ]
    assert planned == [
        (model.name, "Boxport"),
        (model.name, "FastAPI"),
        (in_8_bits.parent.name, "Boxport"),
    ]


@dataclass(frozen=True)
class Broken(PeerServer):
    """A peer that never starts."""

    def measure(self, scenario: Scenario, results: Results, folder: Path) -> None:
        results.add(
            {"tries": 1}, system=self.name, model="", photos="", load="", turn=scenario.turn
        )
        raise ServerError("it has no Java")


def test_a_peer_that_fails_is_told_and_not_tried_again(schedule: Schedule) -> None:
    results = Results()
    planned = list(turns(replace(schedule, int8={}), [Broken(PEERS[0])]))
    run_turns(planned, results, lambda name: None)
    assert len(planned) == 2
    assert results.missing == {"FastAPI": "it has no Java"}
    assert len(results.observations) == 1


def test_parts_choose_the_systems() -> None:
    names = [system.name for system in systems_of(["boxport", "peers", "growth"], [PEER])]
    assert names == ["Boxport", "FastAPI"]
