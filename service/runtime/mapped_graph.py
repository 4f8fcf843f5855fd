"""A graph as ONNX Runtime has optimised it for this machine, in files that several processes map.

Weights that lie in a file beside their graph are mapped, not read: the system has them in memory
once for all sessions of all processes, and nobody optimises what another has.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

import onnxruntime as ort

from service.providers import CPU

GRAPH, WEIGHTS = "graph.onnx", "weights"
LEAST_BYTES = 1024  # smaller constants stay in the graph: sessions fold and inspect them
KEPT = 32  # graphs in the folder, of which the oldest goes; who has mapped its weights keeps them


def optimize_once(graph: Path, options: ort.SessionOptions, folder: Path) -> Path:
    """The optimised ``graph`` in ``folder``, made by who comes first, with a session on the CPU
    that is opened with ``options``; open it with `open_mapped`."""
    with graph.open("rb") as file:
        made = folder / hashlib.file_digest(file, "sha256").hexdigest()
    with _alone(folder):
        if not made.exists():
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder))
            _optimize(graph, options, draft)
            draft.rename(made)
            _tidy(folder)
    return made / GRAPH


def open_mapped(graph: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """A session on the CPU of what `optimize_once` has made."""
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph, options, [CPU.ort_name])


def _optimize(graph: Path, options: ort.SessionOptions, folder: Path) -> None:
    options.optimized_model_filepath = str(folder / GRAPH)
    for key, value in (("file_name", WEIGHTS), ("min_size_in_bytes", str(LEAST_BYTES))):
        options.add_session_config_entry(
            f"session.optimized_model_external_initializers_{key}", value
        )
    ort.InferenceSession(graph, options, [CPU.ort_name])


def _tidy(folder: Path) -> None:
    made = sorted(folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)
    for old in made[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets the next one in if this one ends."""
    with (folder / ".lock").open("w") as file:
        flock(file, LOCK_EX)
        yield
