"""Boxport's memory with both models, and its start time."""

import tempfile
from pathlib import Path

from benchmarks.boxport import NAME, boxport, requests_of
from benchmarks.drive import drive
from benchmarks.packages import MODELS, make_store
from benchmarks.results import Results

BOTH = "both models"


def measure_footprint(small: Path, seconds: float, results: Results, turn: int) -> None:
    """One turn: start with both models in float32, put load on each, read the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store([model.package for model in MODELS], folder / "store")
        with boxport(store, folder) as server:
            idle = server.usage()
            for model in MODELS:
                drive(server, requests_of(small, model.path), folder, seconds)
            loaded = server.usage()
            figures = {
                "start_s": server.start_seconds,
                "idle_rss_mb": idle.rss / 1e6,
                "rss_mb": loaded.rss / 1e6,
                "pss_mb": loaded.pss / 1e6,
            }
    results.add(figures, system=NAME, model=BOTH, photos="small", load="footprint", turn=turn)
