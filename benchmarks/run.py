"""A whole run: its photos and packages are prepared, then each part is measured."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.footprint import measure_footprint
from benchmarks.growth import Growth
from benchmarks.interleaved import TURN_SHARE, run_interleaved
from benchmarks.packages import MODELS, ROOT, Model, int8_package
from benchmarks.peers.table import PEERS
from benchmarks.photos import phone_photos, small_photos
from benchmarks.results import Results
from benchmarks.rounds import Schedule, run_turns, systems_of, turns
from benchmarks.systems import PeerServer

PARTS = ("upper-bound", "boxport", "peers", "interleaved", "growth")
KINDS = ("small", "phone")  # of photos
SAMPLES = ROOT / "docs" / "photos"

OnTurn = Callable[[str, int, int], None]  # name of the turn that begins, its number, their total


@dataclass(frozen=True)
class RunJob:
    """parts, kinds: of `PARTS` and `KINDS`. peers: names of `PEERS`. int8: whether Boxport and the
    upper bound are measured in 8 bits too. seconds: of each load. rounds: turns of each system.
    interleaved_rounds: see `benchmarks.interleaved`. photos: a folder that the small ones are cut
    from. cache: folder of photos and packages in 8 bits.
    """

    parts: Sequence[str] = PARTS
    kinds: Sequence[str] = KINDS
    models: Sequence[Model] = MODELS
    peers: Sequence[str] = tuple(peer.name for peer in PEERS)
    int8: bool = True
    seconds: float = 6.0
    rounds: int = 3
    interleaved_rounds: int = 6
    photos: Path = SAMPLES
    cache: Path = Path(__file__).parent / ".cache"

    @property
    def settings(self) -> dict[str, str]:
        """What the report says about the run."""
        origin = "cut out of the sample photos" if self.photos == SAMPLES else "of real scenarios"
        return {
            "seconds": f"{self.seconds:g}",
            "rounds": str(self.rounds),
            "interleaved rounds": str(self.interleaved_rounds),
            "turn": f"{self.seconds * TURN_SHARE:g}",
            "small photos": f"64 of 500 x 375 and about 60 kB, {origin}",
        }


def measure(job: RunJob, results: Results, on_turn: OnTurn) -> None:
    """Measure into ``results``. Raises ServerError, PackageMakingError or PhotoError; a peer that
    fails is only left out."""
    folder = job.cache / "photos" / hashlib.sha256(str(job.photos.resolve()).encode()).hexdigest()
    makers = {"small": small_photos, "phone": phone_photos}
    photos = {kind: makers[kind](job.photos, folder / kind) for kind in KINDS if kind in job.kinds}
    small = small_photos(job.photos, folder / "small")
    packages = job.cache / "packages"
    int8 = {m.name: int8_package(m, small, packages) for m in job.models if job.int8}
    schedule = Schedule(job.models, photos, int8, job.seconds, job.rounds)
    peers = [PeerServer(peer) for peer in PEERS if peer.name in job.peers]
    planned = list(turns(schedule, systems_of(job.parts, peers)))
    footprints = job.rounds if "boxport" in job.parts and len(job.models) == len(MODELS) else 0
    interleaved = list(schedule.interleaved()) if "interleaved" in job.parts else []
    grown = Growth(MODELS[-1], job.photos, small, folder, job.seconds, results)
    growths = grown.steps if "growth" in job.parts else 0
    total = footprints + len(planned) + job.interleaved_rounds * len(interleaved) + growths
    done = 0

    def on_step(name: str) -> None:
        nonlocal done
        done += 1
        on_turn(name, done, total)

    for turn in range(footprints):
        on_step("both models: memory and start")
        measure_footprint(small, job.seconds, results, turn)
    run_turns(planned, results, on_step)
    for scenario in interleaved:
        run_interleaved(scenario, peers, job.interleaved_rounds, results, on_step)
    if growths:
        grown.run(on_step)
