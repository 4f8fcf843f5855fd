"""The systems that are measured in turn: the upper bound, Boxport and its peers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from benchmarks.answers import check_answer, reference
from benchmarks.background_load import BackgroundLoad
from benchmarks.boxport import NAME, boxport, requests_of, stages
from benchmarks.drive import drive, settle
from benchmarks.load import Request
from benchmarks.packages import ROOT, Model, make_store
from benchmarks.peers.table import Peer, raw_body
from benchmarks.peers.venvs import make_venv
from benchmarks.results import Results
from benchmarks.server import Server, running
from benchmarks.upper_bound import Layout, layouts
from benchmarks.upper_bound_process import UpperBoundProcess, upper_bound_process
from service.cpus import available_cpus
from service.inference.task import Row

UPPER_BOUND = "upper bound"
INTERLEAVED = "interleaved"  # small photos in the rounds of `benchmarks.interleaved`
MAIN_CONNECTIONS = 16  # throughput is compared at this number
CONNECTIONS = (1, 4, MAIN_CONNECTIONS, 64)
SHARES = (50, 70, 90)  # arrival rates of the open loops, in per cent of the throughput
STAGED_REQUESTS = 40
LAYOUT_SHARE = 0.5  # of the seconds of a load, for each layout of the upper bound
HANDLER = Path(__file__).parent / "peers" / "shared"


def closed(connections: int) -> str:
    return f"closed {connections}"


def opened(share: int) -> str:
    return f"open {share}"


@dataclass(frozen=True)
class Scenario:
    """One model package and one kind of photos, which every system is measured with.

    package: folder of the model package. kind: of the photos, "small", "phone" or `INTERLEAVED`.
    photos: their folder. checked: a photo; expected: the right answer of a peer to it.
    seconds: of one load. turn: number of the round, from 0. whole: whether all loads are run, or
    only those that are compared.
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

    @property
    def name(self) -> str:
        """Of the package."""
        return self.package.parent.name

    def record(self, results: Results, system: str, load: str, figures: dict[str, float]) -> None:
        results.add(
            figures,
            system=system,
            model=self.name,
            photos=self.kind,
            load=load,
            turn=self.turn,
        )


def footprint_of(server: Server) -> dict[str, float]:
    """Seconds from start to ready, and megabytes of memory now."""
    usage = server.usage()
    memory = {"pss_mb": usage.pss / 1e6, "rss_mb": usage.rss / 1e6}
    return {"seconds": server.start_seconds, **memory}


class System(Protocol):
    @property
    def name(self) -> str: ...

    def measure(self, scenario: Scenario, results: Results, folder: Path) -> None:
        """Add the figures of one turn to ``results``; ``folder`` is for its files.

        Raises ServerError or InstallError if the system cannot be measured.
        """


@dataclass(frozen=True)
class InProcess:
    """The upper bound: the work of a request in one process, without a server."""

    name: str = UPPER_BOUND

    def measure(self, scenario: Scenario, results: Results, folder: Path) -> None:
        with upper_bound_process(scenario.package, scenario.photos) as process:
            for layout in layouts(available_cpus()):
                figures = measure_in_process(process, layout, scenario.seconds * LAYOUT_SHARE)
                scenario.record(results, UPPER_BOUND, layout.name, figures)


def measure_in_process(
    process: UpperBoundProcess, layout: Layout, seconds: float, rate: float | None = None
) -> dict[str, float]:
    """The figures of `drive`, of the upper bound in ``layout``."""
    background = BackgroundLoad()
    speed = process.run(layout, seconds, rate)
    return {
        "per_second": speed.per_second,
        "p50_ms": speed.p50_ms,
        "p99_ms": speed.p99_ms,
        "cpu_ms": speed.cpu_ms,
        "background_load": background.share(speed.cpu_seconds),
    }


@dataclass(frozen=True)
class BoxportServer:
    """Boxport, with the package of the scenario alone."""

    name: str = NAME

    def measure(self, scenario: Scenario, results: Results, folder: Path) -> None:
        store = make_store([scenario.package], folder / "store")
        with boxport(store, folder) as server:
            requests = requests_of(scenario.photos, scenario.model.path)
            checked = raw_body(scenario.checked.read_bytes(), scenario.model.path)
            expected = reference(scenario.package, scenario.checked, exact=False)
            check_answer(server, checked, expected)
            for connections in self._connections(scenario):
                settle(server)
                figures = drive(server, requests, folder, scenario.seconds, connections)
                scenario.record(results, NAME, closed(connections), figures)
            settle(server)
            found = stages(server, requests, STAGED_REQUESTS)
            parts = {f"{name}_ms": median(row[name] for row in found) for name in found[0]}
            scenario.record(results, NAME, "stages", parts)
            scenario.record(results, NAME, "start", footprint_of(server))

    @staticmethod
    def _connections(scenario: Scenario) -> tuple[int, ...]:
        return CONNECTIONS if scenario.whole else (1, MAIN_CONNECTIONS)


@dataclass(frozen=True)
class PeerServer:
    """A peer, with the package of the scenario."""

    peer: Peer

    @property
    def name(self) -> str:
        return self.peer.name

    def measure(self, scenario: Scenario, results: Results, folder: Path) -> None:
        with self.serving(scenario, folder) as server:
            requests = self.requests(scenario.photos)
            checked = self.peer.to_request(scenario.checked.read_bytes(), self.peer.path)
            check_answer(server, checked, scenario.expected)
            for connections in CONNECTIONS if scenario.whole else (MAIN_CONNECTIONS,):
                settle(server)
                figures = drive(server, requests, folder, scenario.seconds, connections)
                scenario.record(results, self.name, closed(connections), figures)
            scenario.record(results, self.name, "start", footprint_of(server))

    def requests(self, photos: Path) -> list[Request]:
        """A request for each photo of a folder."""
        return [
            self.peer.to_request(photo.read_bytes(), self.peer.path)
            for photo in sorted(photos.glob("*.jpg"))
        ]

    @contextmanager
    def serving(self, scenario: Scenario, folder: Path) -> Iterator[Server]:
        """The running server; its log and its files lie in ``folder``."""
        peer, programs = self.peer, make_venv(self.peer.home)
        roots = [HANDLER, peer.home, *([ROOT] if peer.weights else [])]
        environment = {
            "PACKAGE": str(scenario.package),
            "PYTHONPATH": os.pathsep.join(map(str, roots)),
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            **peer.environment,
        }
        if peer.weights:
            environment["WEIGHTS"] = str(scenario.model.weights)
        program, *options = peer.command
        command: list[str | Path] = [programs / program, *options]
        log = folder / "peer.log"
        with running(peer.name, command, peer.home, environment, peer.ready, log) as server:
            yield server
