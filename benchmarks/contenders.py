"""Those that take turns: the limit, Boxport and its peers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from benchmarks.answers import check_answer, reference
from benchmarks.boxport import NAME, boxport, shots_of, stages
from benchmarks.bystanders import Watch
from benchmarks.drive import drive, settle
from benchmarks.limit import Layout, layouts
from benchmarks.limit_process import LimitProcess, limit_process
from benchmarks.load import Shot
from benchmarks.packages import ROOT, Model, make_store
from benchmarks.peers.table import Peer, raw_body
from benchmarks.peers.venvs import make_venv
from benchmarks.results import Results
from benchmarks.server import Server, running
from service.cpus import available_cpus
from service.inference.task import Row

LIMIT = "limit"
HEAT = "heat"  # of small photos: turns so short that the machine is the same for all
MAIN_CONNECTIONS = 16  # where throughput is compared
CONNECTIONS = (1, 4, MAIN_CONNECTIONS, 64)
SHARES = (50, 70, 90)  # per cent of the capacity, in the open loops
STAGED_REQUESTS = 40
LAYOUT_SHARE = 0.5  # of the seconds of a load, for each layout of the limit
HANDLER = Path(__file__).parent / "peers" / "shared"


def closed(connections: int) -> str:
    return f"closed {connections}"


def opened(share: int) -> str:
    return f"open {share}"


@dataclass(frozen=True)
class Scene:
    """What is asked of everybody in turn.

    package: the folder of its model package. kind: of the photos, "small" or "phone", or `HEAT`;
    photos: their folder. expected: a peer's answer to ``checked``, a photo. whole: whether all
    loads are put on, or only those that are compared.
    """

    model: Model
    package: Path
    kind: str
    photos: Path
    checked: Path
    expected: list[Row]
    seconds: float
    turn: int
    whole: bool

    def keep(self, results: Results, who: str, load: str, figures: dict[str, float]) -> None:
        results.add(
            figures,
            who=who,
            model=self.package.parent.name,
            photos=self.kind,
            load=load,
            turn=self.turn,
        )


def footprint_of(server: Server) -> dict[str, float]:
    """After its load."""
    usage = server.usage()
    memory = {"pss_mb": usage.pss / 1e6, "rss_mb": usage.rss / 1e6}
    return {"seconds": server.start_seconds, **memory}


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    def measure(self, scene: Scene, results: Results, folder: Path) -> None:
        """One turn; raises ServerError or InstallError if it cannot be measured."""


@dataclass(frozen=True)
class InProcess:
    """The limit: no server at all."""

    name: str = LIMIT

    def measure(self, scene: Scene, results: Results, folder: Path) -> None:
        with limit_process(scene.package, scene.photos) as limit:
            for layout in layouts(available_cpus()):
                figures = order(limit, layout, scene.seconds * LAYOUT_SHARE)
                scene.keep(results, LIMIT, layout.name, figures)


def order(
    limit: LimitProcess, layout: Layout, seconds: float, rate: float | None = None
) -> dict[str, float]:
    """Figures of the limit in that layout, those that `drive` has of a server."""
    watch = Watch()
    speed = limit.run(layout, seconds, rate)
    return {
        "per_second": speed.per_second,
        "p50_ms": speed.p50_ms,
        "p99_ms": speed.p99_ms,
        "cpu_ms": speed.cpu_ms,
        "others": watch.others(speed.cpu_seconds),
    }


@dataclass(frozen=True)
class OurOwn:
    """Boxport, with the one package of the scene."""

    name: str = NAME

    def measure(self, scene: Scene, results: Results, folder: Path) -> None:
        store = make_store([scene.package], folder / "store")
        with boxport(store, folder) as server:
            shots = shots_of(scene.photos, scene.model.path)
            checked = raw_body(scene.checked.read_bytes(), scene.model.path)
            check_answer(server, checked, reference(scene.package, scene.checked, exact=False))
            for connections in self._connections(scene):
                settle(server)
                figures = drive(server, shots, folder, scene.seconds, connections)
                scene.keep(results, NAME, closed(connections), figures)
            settle(server)
            found = stages(server, shots, STAGED_REQUESTS)
            parts = {f"{name}_ms": median(row[name] for row in found) for name in found[0]}
            scene.keep(results, NAME, "stages", parts)
            scene.keep(results, NAME, "start", footprint_of(server))

    @staticmethod
    def _connections(scene: Scene) -> tuple[int, ...]:
        return CONNECTIONS if scene.whole else (1, MAIN_CONNECTIONS)


@dataclass(frozen=True)
class Other:
    """A peer, with the package of the scene."""

    peer: Peer

    @property
    def name(self) -> str:
        return self.peer.name

    def measure(self, scene: Scene, results: Results, folder: Path) -> None:
        with self.serving(scene, folder) as server:
            shots = self.shots(scene.photos)
            checked = self.peer.to_shot(scene.checked.read_bytes(), self.peer.path)
            check_answer(server, checked, scene.expected)
            for connections in CONNECTIONS if scene.whole else (MAIN_CONNECTIONS,):
                settle(server)
                figures = drive(server, shots, folder, scene.seconds, connections)
                scene.keep(results, self.name, closed(connections), figures)
            scene.keep(results, self.name, "start", footprint_of(server))

    def shots(self, photos: Path) -> list[Shot]:
        """A request for each photo of a folder."""
        return [
            self.peer.to_shot(photo.read_bytes(), self.peer.path)
            for photo in sorted(photos.glob("*.jpg"))
        ]

    @contextmanager
    def serving(self, scene: Scene, folder: Path) -> Iterator[Server]:
        """Running; ``folder`` is for its log, and what it writes."""
        peer, programs = self.peer, make_venv(self.peer.home)
        roots = [HANDLER, peer.home, *([ROOT] if peer.weights else [])]
        environment = {
            "PACKAGE": str(scene.package),
            "PYTHONPATH": os.pathsep.join(map(str, roots)),
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            **peer.environment,
        }
        if peer.weights:
            environment["WEIGHTS"] = str(scene.model.weights)
        program, *options = peer.command
        command: list[str | Path] = [programs / program, *options]
        log = folder / "peer.log"
        with running(peer.name, command, peer.home, environment, peer.ready, log) as server:
            yield server
