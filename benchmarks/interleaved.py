"""Interleaved rounds: all systems are up at once and take turns of a second or so.

What a shared machine gives drifts by a tenth and more from one minute to the next, which is as much
as most targets are about. Within a round the turns are so short that the drift is the same for all.
The upper bound, Boxport, the minimal server and the best peers take part.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.answers import check_answer, reference
from benchmarks.boxport import NAME, boxport, requests_of
from benchmarks.drive import drive, settle
from benchmarks.load import Request
from benchmarks.minimal_server import MINIMAL, minimal_server
from benchmarks.packages import make_store
from benchmarks.peers.table import raw_body
from benchmarks.peers.venvs import InstallError
from benchmarks.results import Results
from benchmarks.server import Server, ServerError
from benchmarks.systems import (
    INTERLEAVED,
    MAIN_CONNECTIONS,
    SHARES,
    UPPER_BOUND,
    PeerServer,
    Scenario,
    closed,
    measure_in_process,
    opened,
)
from benchmarks.targets import TAIL_SHARE, best_peers
from benchmarks.upper_bound import Layout, latency_layout
from benchmarks.upper_bound_process import UpperBoundProcess, upper_bound_process
from service.cpus import available_cpus

BEST = 2  # peers that take part
TURN_SHARE = 0.5  # of the seconds of a load
# Length of an open loop, in turns: long enough that a hundredth of its requests is more than two.
OPEN_TURNS = 4


@dataclass(frozen=True)
class RunningServer:
    """A server that is up, and the requests to send to it."""

    server: Server
    requests: Sequence[Request]


@dataclass
class InterleavedRounds:
    """The rounds of one package, while every system is up.

    scenario: its seconds are those of one turn. folder: for the load generator's files.
    fastest: the upper bound's layout.
    """

    scenario: Scenario
    results: Results
    folder: Path
    upper_bound: UpperBoundProcess
    fastest: Layout
    minimal: RunningServer
    boxport: RunningServer
    peers: dict[str, RunningServer] = field(default_factory=dict)

    def run(self, turn: int) -> None:
        """One round. Loads that are compared follow each other; their order rotates by one from
        round to round."""
        self.scenario = replace(self.scenario, turn=turn)
        _rotate(
            turn,
            partial(self._run_in_process, latency_layout(available_cpus()), 1),
            partial(self._drive, NAME, self.boxport, 1),
        )
        self._drive(MINIMAL, self.minimal, 1)
        _rotate(
            turn,
            partial(self._run_in_process, self.fastest, MAIN_CONNECTIONS),
            partial(self._drive, NAME, self.boxport, MAIN_CONNECTIONS),
            *(partial(self._drive_peer, name) for name in self.peers),
        )
        _rotate(
            turn,
            partial(self._open_in_process, TAIL_SHARE),
            partial(self._drive_open, TAIL_SHARE),
        )
        for share in SHARES:
            if share != TAIL_SHARE:
                self._drive_open(share)

    def _throughput(self, system: str) -> float:
        """Photos a second in this round."""
        where = {"system": system, "model": self.scenario.name, "photos": INTERLEAVED}
        load = closed(MAIN_CONNECTIONS)
        return self.results.by_round(**where, load=load, metric="per_second")[self.scenario.turn]

    def _run_in_process(self, layout: Layout, connections: int) -> None:
        figures = measure_in_process(self.upper_bound, layout, self.scenario.seconds)
        self.scenario.record(self.results, UPPER_BOUND, closed(connections), figures)

    def _open_in_process(self, share: int) -> None:
        rate = self._throughput(UPPER_BOUND) * share / 100
        seconds = self.scenario.seconds * OPEN_TURNS
        figures = measure_in_process(self.upper_bound, self.fastest, seconds, rate)
        self.scenario.record(self.results, UPPER_BOUND, opened(share), figures)

    def _drive(self, name: str, running: RunningServer, connections: int) -> None:
        settle(running.server)
        figures = drive(
            running.server,
            running.requests,
            self.folder,
            self.scenario.seconds,
            connections,
            warm_up=self.scenario.turn == 0,
        )
        self.scenario.record(self.results, name, closed(connections), figures)

    def _drive_peer(self, name: str) -> None:
        """A peer that fails is left out from then on, with the reason in the results."""
        if name not in self.results.missing:
            try:
                self._drive(name, self.peers[name], MAIN_CONNECTIONS)
            except ServerError as error:
                self.results.missing[name] = str(error)

    def _drive_open(self, share: int) -> None:
        rate = self._throughput(NAME) * share / 100
        server, requests = self.boxport.server, self.boxport.requests
        settle(server)
        seconds = self.scenario.seconds * OPEN_TURNS
        figures = drive(server, requests, self.folder, seconds, rate=rate, warm_up=False)
        self.scenario.record(self.results, NAME, opened(share), figures)


def run_interleaved(
    scenario: Scenario,
    peers: Sequence[PeerServer],
    number: int,
    results: Results,
    on_round: Callable[[str], None],
) -> None:
    """``number`` rounds of the scenario's package, with those of ``peers`` that ``results`` has as
    the best."""
    best = best_peers(results, scenario.model.name)[:BEST]
    chosen = [peer for peer in peers if peer.name in best]
    with started(scenario, chosen, results) as rounds:
        for turn in range(number):
            on_round(f"{scenario.name}: interleaved round {turn + 1}")
            rounds.run(turn)


@contextmanager
def started(
    scenario: Scenario, peers: Sequence[PeerServer], results: Results
) -> Iterator[InterleavedRounds]:
    """Start all systems. Peers have the package in float32, whatever the scenario's: none of them
    makes one in 8 bits."""
    seconds = scenario.seconds * TURN_SHARE
    scenario = replace(scenario, kind=INTERLEAVED, seconds=seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upper_bound = stack.enter_context(upper_bound_process(scenario.package, scenario.photos))
        fastest, _ = upper_bound.fastest(seconds)
        store = make_store([scenario.package], folder / "store")
        ours = stack.enter_context(boxport(store, folder))
        requests = requests_of(scenario.photos, scenario.model.path)
        minimal = stack.enter_context(minimal_server(scenario.package, folder))
        check_answer(
            minimal,
            raw_body(scenario.checked.read_bytes(), scenario.model.path),
            reference(scenario.package, scenario.checked, exact=False),
        )
        rounds = InterleavedRounds(
            scenario,
            results,
            folder,
            upper_bound,
            fastest,
            RunningServer(minimal, requests),
            RunningServer(ours, requests),
        )
        in_float32 = replace(scenario, package=scenario.model.package)
        for number, peer in enumerate(peers):
            home = folder / f"peer-{number}"
            home.mkdir()
            try:
                server = stack.enter_context(peer.serving(in_float32, home))
            except (ServerError, InstallError) as error:
                results.missing[peer.name] = str(error)
                continue
            rounds.peers[peer.name] = RunningServer(server, peer.requests(scenario.photos))
        yield rounds


def _rotate(turn: int, *runs: Callable[[], None]) -> None:
    shift = turn % len(runs)
    for run in [*runs[shift:], *runs[:shift]]:
        run()
