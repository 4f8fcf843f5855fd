"""A graph as ONNX Runtime has optimised it for this machine, for several sessions of it.

Each session that is opened from a file optimises for itself and holds weights of its own. Opened
from one of these, sessions share them: a model is in memory once, however many ways it is run.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from service.providers import CPU
from service.runtime.onnx_model import read_weights

SHARED_BYTES = 1024  # smaller constants stay in each session: it folds and inspects them
ALIGNMENT = 64  # bytes, of a vector register: where ONNX Runtime puts its own
IN_MEMORY = hasattr(os, "memfd_create")  # Linux


class OptimizedGraph:
    """weights: what its sessions read from and do not own; it has to outlive them."""

    def __init__(self, file: int) -> None:
        self._path = Path(f"/proc/self/fd/{file}")
        weights = dict(read_weights(self._path.read_bytes(), SHARED_BYTES))
        self._names = tuple(weights)
        self.weights = tuple(_side_by_side(weights.values()))

    def open(self, options: ort.SessionOptions) -> ort.InferenceSession:
        """A session on the CPU, for which it was optimised."""
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        for name, values in zip(self._names, self.weights, strict=True):
            options.add_initializer(name, values)
        return ort.InferenceSession(self._path, options, [CPU.ort_name])


@contextmanager
def optimized(graph: Path, options: ort.SessionOptions) -> Iterator[OptimizedGraph]:
    """What a session on the CPU, opened with ``options``, makes of ``graph``; it can be opened
    until the block's end."""
    file = os.memfd_create("optimized.onnx")
    try:
        options.optimized_model_filepath = f"/proc/self/fd/{file}"
        ort.InferenceSession(graph, options, [CPU.ort_name])
        yield OptimizedGraph(file)
    finally:
        os.close(file)


def _side_by_side(weights: Collection[npt.NDArray[Any]]) -> Iterator[ort.OrtValue]:
    """Copies of them in one block, which goes back to the system as a whole."""
    sizes = [-(-values.nbytes // ALIGNMENT) * ALIGNMENT for values in weights]
    block = np.empty(sum(sizes) + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    for values, size in zip(weights, sizes, strict=True):
        copy = block[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        copy[...] = values
        yield ort.OrtValue.ortvalue_from_numpy(copy)
        start += size
