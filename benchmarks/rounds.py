"""Everybody in turn: what else the machine does in a round, it does to all of them."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers import reference
from benchmarks.contenders import Contender, InProcess, Other, OurOwn, Scene
from benchmarks.packages import INT8, ROOT, Model
from benchmarks.peers.venvs import InstallError
from benchmarks.results import Results
from benchmarks.server import ServerError

CHECKED = ROOT / "docs" / "photos" / "cat.jpg"

OnTurn = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """photos: the folders by kind, "small" and "phone". int8: the packages in 8 bits, by model.

    rounds: how often everybody has a turn at small photos; phone photos take a turn less, but one.
    """

    models: Sequence[Model]
    photos: dict[str, Path]
    int8: dict[str, Path]
    seconds: float
    rounds: int

    def scenes(self, model: Model, kind: str, turn: int) -> Iterator[Scene]:
        """In float32, and for small photos in 8 bits."""
        packages = [model.package]
        if kind == "small" and model.name in self.int8:
            packages.append(self.int8[model.name])
        for package in packages:
            yield Scene(
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

    def heats(self) -> Iterator[Scene]:
        """Those that have heats."""
        if "small" in self.photos:
            for model in self.models:
                yield from self.scenes(model, "small", 0)


def turns(course: Course, contenders: Sequence[Contender]) -> Iterator[tuple[Scene, Contender]]:
    """Every turn, in the order of the measurement; whoever was first in one round is second in the
    next."""
    for model in course.models:
        for kind in course.photos:
            for turn in range(course.rounds if kind == "small" else max(1, course.rounds - 1)):
                for scene in course.scenes(model, kind, turn):
                    shift = turn % len(contenders)
                    for contender in [*contenders[shift:], *contenders[:shift]]:
                        in_8_bits = scene.package.parent.name.endswith(INT8)
                        if not (in_8_bits and isinstance(contender, Other)):
                            yield scene, contender


def run_turns(
    planned: Sequence[tuple[Scene, Contender]], results: Results, on_turn: OnTurn
) -> None:
    """Measure all; a peer that fails is left out from then on, with the reason in ``results``."""
    for scene, contender in planned:
        on_turn(f"{scene.package.parent.name}, {scene.kind} photos: {contender.name}")
        if contender.name in results.missing:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                contender.measure(scene, results, Path(folder))
            except (ServerError, InstallError) as error:
                if not isinstance(contender, Other):
                    raise
                results.missing[contender.name] = str(error)


def contenders_of(parts: Sequence[str], peers: Sequence[Contender]) -> list[Contender]:
    """Those that belong to the parts of a run, Boxport next to the limit."""
    found: list[Contender] = []
    if "limit" in parts:
        found.append(InProcess())
    if "boxport" in parts:
        found.append(OurOwn())
    return [*found, *(peers if "peers" in parts else ())]
