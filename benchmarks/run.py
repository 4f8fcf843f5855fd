"""A whole run: what it needs made ready, then every part of it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Other
from benchmarks.footprint import measure_footprint
from benchmarks.growth import Growth
from benchmarks.heats import TURN_SHARE, run_heats
from benchmarks.packages import MODELS, ROOT, Model, int8_package
from benchmarks.peers.table import PEERS
from benchmarks.photos import phone_photos, small_photos
from benchmarks.results import Results
from benchmarks.rounds import Course, contenders_of, run_turns, turns

PARTS = ("limit", "boxport", "peers", "heats", "growth")
KINDS = ("small", "phone")  # of photos
SAMPLES = ROOT / "docs" / "photos"

OnTurn = Callable[[str, int, int], None]  # what comes, its number, and how many there are


@dataclass(frozen=True)
class RunJob:
    """parts, kinds: of `PARTS` and `KINDS`. peers: of these names' parts alone. int8: whether
    Boxport and the limit are measured in 8 bits too. seconds: of each load. rounds: turns that
    everybody has; heats: see `benchmarks.heats`. cache: the folder where
    photos and packages in 8 bits are kept.
    """

    parts: Sequence[str] = PARTS
    kinds: Sequence[str] = KINDS
    models: Sequence[Model] = MODELS
    peers: Sequence[str] = ("",)
    int8: bool = True
    seconds: float = 6.0
    rounds: int = 3
    heats: int = 6
    photos: Path = SAMPLES
    cache: Path = Path(__file__).parent / ".cache"

    @property
    def settings(self) -> dict[str, str]:
        """What a report tells of the run."""
        origin = "cut out of the sample photos" if self.photos == SAMPLES else "of real scenes"
        return {
            "seconds": f"{self.seconds:g}",
            "rounds": str(self.rounds),
            "heats": str(self.heats),
            "turn": f"{self.seconds * TURN_SHARE:g}",
            "small photos": f"64 of 500 x 375 and about 60 kB, {origin}",
        }


def measure(job: RunJob, results: Results, on_turn: OnTurn) -> None:
    """Fill ``results``. Raises ServerError, PackageMakingError or PhotoError; a peer's failure only
    leaves it out."""
    folder = job.cache / "photos" / hashlib.sha256(str(job.photos.resolve()).encode()).hexdigest()
    makers = {"small": small_photos, "phone": phone_photos}
    photos = {kind: makers[kind](job.photos, folder / kind) for kind in KINDS if kind in job.kinds}
    small = small_photos(job.photos, folder / "small")
    packages = job.cache / "packages"
    int8 = {m.name: int8_package(m, small, packages) for m in job.models if job.int8}
    course = Course(job.models, photos, int8, job.seconds, job.rounds)
    others = [Other(peer) for peer in PEERS if any(part in peer.name for part in job.peers)]
    planned = list(turns(course, contenders_of(job.parts, others)))
    footprints = job.rounds if "boxport" in job.parts and len(job.models) == len(MODELS) else 0
    heats_of = list(course.heats()) if "heats" in job.parts else []
    grown = Growth(MODELS[-1], job.photos, small, folder, job.seconds, results)
    growths = grown.steps if "growth" in job.parts else 0
    done = 0

    def on_step(name: str) -> None:
        nonlocal done
        done += 1
        on_turn(name, done, footprints + len(planned) + job.heats * len(heats_of) + growths)

    for turn in range(footprints):
        on_step("both models: memory and start")
        measure_footprint(small, job.seconds, results, turn)
    run_turns(planned, results, on_step)
    for scene in heats_of:
        run_heats(scene, others, job.heats, results, on_step)
    if growths:
        grown.run(on_step)
