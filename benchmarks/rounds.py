"""Rounds in which each system has a turn, so that the machine's drift affects all of them alike."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers import reference
from benchmarks.packages import INT8, ROOT, Model
from benchmarks.peers.venvs import InstallError
from benchmarks.results import Results
from benchmarks.server import ServerError
from benchmarks.systems import BoxportServer, InProcess, PeerServer, Scenario, System

CHECKED = ROOT / "docs" / "photos" / "cat.jpg"

OnTurn = Callable[[str], None]


@dataclass(frozen=True)
class Schedule:
    """What is measured, and how often.

    photos: folders by kind, "small" and "phone". int8: folders of packages in 8 bits, by model.
    seconds: of each load. rounds: turns of each system with small photos; with phone photos one
    fewer, but at least one.
    """

    models: Sequence[Model]
    photos: dict[str, Path]
    int8: dict[str, Path]
    seconds: float
    rounds: int

    def scenarios(self, model: Model, kind: str, turn: int) -> Iterator[Scenario]:
        """Of the model in float32, and with small photos in 8 bits too."""
        packages = [model.package]
        if kind == "small" and model.name in self.int8:
            packages.append(self.int8[model.name])
        for package in packages:
            yield Scenario(
                model,
                package,
                kind,
                self.photos[kind],
                CHECKED,
                reference(package, CHECKED),
                self.seconds,
                turn,
                whole=turn == 0 and kind == "small" and self.rounds > 1,
            )

    def interleaved(self) -> Iterator[Scenario]:
        """Those that `benchmarks.interleaved` measures."""
        if "small" in self.photos:
            for model in self.models:
                yield from self.scenarios(model, "small", 0)


def turns(schedule: Schedule, systems: Sequence[System]) -> Iterator[tuple[Scenario, System]]:
    """Every turn, in the order of the measurement; the order of the systems rotates by one from
    round to round."""
    for model in schedule.models:
        for kind in schedule.photos:
            for turn in range(schedule.rounds if kind == "small" else max(1, schedule.rounds - 1)):
                for scenario in schedule.scenarios(model, kind, turn):
                    shift = turn % len(systems)
                    for system in [*systems[shift:], *systems[:shift]]:
                        in_8_bits = scenario.name.endswith(INT8)
                        if not (in_8_bits and isinstance(system, PeerServer)):
                            yield scenario, system


def run_turns(
    planned: Sequence[tuple[Scenario, System]], results: Results, on_turn: OnTurn
) -> None:
    """Measure all turns; a peer that fails is left out from then on, with the reason in
    ``results``."""
    for scenario, system in planned:
        on_turn(f"{scenario.name}, {scenario.kind} photos: {system.name}")
        if system.name in results.missing:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                system.measure(scenario, results, Path(folder))
            except (ServerError, InstallError) as error:
                if not isinstance(system, PeerServer):
                    raise
                results.missing[system.name] = str(error)


def systems_of(parts: Sequence[str], peers: Sequence[System]) -> list[System]:
    """The systems that the parts of a run measure, Boxport right after the upper bound."""
    found: list[System] = []
    if "upper-bound" in parts:
        found.append(InProcess())
    if "boxport" in parts:
        found.append(BoxportServer())
    return [*found, *(peers if "peers" in parts else ())]
