"""Heats: the limit, Boxport, a bare server and the best peers, all up, in turns of a second or so.

What a shared machine gives drifts by a tenth and more between one minute and the next, which is as
much as most bars are about. The turns of a heat are so short that it is the same for all of them.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.answers import check_answer, reference
from benchmarks.bare import BARE, bare_server
from benchmarks.bars import TAIL_SHARE, best_peers
from benchmarks.boxport import NAME, boxport, shots_of
from benchmarks.contenders import (
    HEAT,
    LIMIT,
    MAIN_CONNECTIONS,
    SHARES,
    Other,
    Scene,
    closed,
    opened,
    order,
)
from benchmarks.drive import drive, settle
from benchmarks.limit import Layout, lone
from benchmarks.limit_process import LimitProcess, limit_process
from benchmarks.load import Shot
from benchmarks.packages import make_store
from benchmarks.peers.table import raw_body
from benchmarks.peers.venvs import InstallError
from benchmarks.results import Results
from benchmarks.server import Server, ServerError
from service.cpus import available_cpus

BEST = 2  # peers that take part
TURN_SHARE = 0.5  # of the seconds of a load
# Of an open loop, in turns: of its requests a hundredth should be more than one or two.
OPEN_TURNS = 4


@dataclass(frozen=True)
class Lane:
    """A server that is up, with its requests."""

    server: Server
    shots: Sequence[Shot]


@dataclass
class Heats:
    """Those of one package, while everybody in them is up.

    fastest: the limit's layout. scene: its seconds are those of one turn. folder: for the load
    generator's files.
    """

    scene: Scene
    results: Results
    folder: Path
    limit: LimitProcess
    fastest: Layout
    bare: Lane
    ours: Lane
    peers: dict[str, Lane] = field(default_factory=dict)

    def run(self, turn: int) -> None:
        """One heat. What is compared follows one upon the other; who was second in the last heat is
        first in this one."""
        processors = available_cpus()
        self.scene = replace(self.scene, turn=turn)
        _rotate(
            turn,
            partial(self._order, lone(processors), 1),
            partial(self._drive, NAME, self.ours, 1),
        )
        self._drive(BARE, self.bare, 1)
        _rotate(
            turn,
            partial(self._order, self.fastest, MAIN_CONNECTIONS),
            partial(self._drive, NAME, self.ours, MAIN_CONNECTIONS),
            *(partial(self._drive_peer, name) for name in self.peers),
        )
        _rotate(turn, partial(self._order_at, TAIL_SHARE), partial(self._fire_at, TAIL_SHARE))
        for share in SHARES:
            if share != TAIL_SHARE:
                self._fire_at(share)

    def _speed(self, who: str) -> float:
        """Photos a second in this heat."""
        where = {"who": who, "model": self.scene.package.parent.name, "photos": HEAT}
        load = closed(MAIN_CONNECTIONS)
        return self.results.by_round(**where, load=load, metric="per_second")[self.scene.turn]

    def _order(self, layout: Layout, connections: int) -> None:
        figures = order(self.limit, layout, self.scene.seconds)
        self.scene.keep(self.results, LIMIT, closed(connections), figures)

    def _order_at(self, share: int) -> None:
        rate = self._speed(LIMIT) * share / 100
        figures = order(self.limit, self.fastest, self.scene.seconds * OPEN_TURNS, rate)
        self.scene.keep(self.results, LIMIT, opened(share), figures)

    def _drive(self, name: str, lane: Lane, connections: int) -> None:
        settle(lane.server)
        warm_up = self.scene.turn == 0
        figures = drive(
            lane.server, lane.shots, self.folder, self.scene.seconds, connections, warm_up=warm_up
        )
        self.scene.keep(self.results, name, closed(connections), figures)

    def _drive_peer(self, name: str) -> None:
        """A peer that fails is out, with the reason in the results."""
        if name not in self.results.missing:
            try:
                self._drive(name, self.peers[name], MAIN_CONNECTIONS)
            except ServerError as error:
                self.results.missing[name] = str(error)

    def _fire_at(self, share: int) -> None:
        rate = self._speed(NAME) * share / 100
        settle(self.ours.server)
        seconds = self.scene.seconds * OPEN_TURNS
        figures = drive(
            self.ours.server, self.ours.shots, self.folder, seconds, rate=rate, warm_up=False
        )
        self.scene.keep(self.results, NAME, opened(share), figures)


def run_heats(
    scene: Scene,
    peers: Sequence[Other],
    number: int,
    results: Results,
    on_heat: Callable[[str], None],
) -> None:
    """``number`` heats of the scene's package; of the peers those take part that ``results`` has as
    the best."""
    best = best_peers(results, scene.model.name)[:BEST]
    chosen = [peer for peer in peers if peer.name in best]
    with heats(scene, chosen, results) as up:
        for turn in range(number):
            on_heat(f"{scene.package.parent.name}: heat {turn + 1}")
            up.run(turn)


@contextmanager
def heats(scene: Scene, peers: Sequence[Other], results: Results) -> Iterator[Heats]:
    """Start everybody. Peers have the package in float32, whatever the scene's: there is none that
    makes one in 8 bits."""
    seconds = scene.seconds * TURN_SHARE
    scene = replace(scene, kind=HEAT, seconds=seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limit = stack.enter_context(limit_process(scene.package, scene.photos))
        fastest, _ = limit.fastest(seconds)
        store = make_store([scene.package], folder / "store")
        server = stack.enter_context(boxport(store, folder))
        shots = shots_of(scene.photos, scene.model.path)
        bare = stack.enter_context(bare_server(scene.package, folder))
        check_answer(
            bare,
            raw_body(scene.checked.read_bytes(), scene.model.path),
            reference(scene.package, scene.checked, exact=False),
        )
        lanes = Lane(bare, shots), Lane(server, shots)
        found = Heats(scene, results, folder, limit, fastest, *lanes)
        in_float32 = replace(scene, package=scene.model.package)
        for number, peer in enumerate(peers):
            home = folder / f"peer-{number}"
            home.mkdir()
            try:
                server = stack.enter_context(peer.serving(in_float32, home))
            except (ServerError, InstallError) as error:
                results.missing[peer.name] = str(error)
                continue
            found.peers[peer.name] = Lane(server, peer.shots(scene.photos))
        yield found


def _rotate(turn: int, *runs: Callable[[], None]) -> None:
    shift = turn % len(runs)
    for run in [*runs[shift:], *runs[:shift]]:
        run()
