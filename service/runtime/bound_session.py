"""Running a session through buffers that stay on its device.

`InferenceSession.run` allocates on the device for each run, and lets go again. Here each batch size
has buffers of its own that are used again, which is also what a CUDA graph needs: it is recorded
with their addresses, and replays with them.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from service.manifest import Tensor

Array = npt.NDArray[Any]

IMAGES = "images"
GRAPH_ID = "gpu_graph_id"  # ONNX Runtime's run option that tells recorded graphs apart
UNRECORDED = -1
MAX_SHAPES = 16  # whose buffers are kept for their next run
# Of outputs.
DTYPES: dict[str, np.dtype[Any]] = {"float": np.dtype(np.float32), "int64": np.dtype(np.int64)}


class GraphCaptureError(Exception):
    """A graph of which no CUDA graph can be recorded; the message says why."""


@dataclass
class Buffers:
    """Those of one shape of images, for one run at a time: the images, and the outputs whose size
    is known before the run. The others come to the CPU as they are.

    graph: what the CUDA graph is called that replays with them; `UNRECORDED` if there is none.
    """

    binding: ort.IOBinding
    images: ort.OrtValue
    graph: int


class BoundSession:
    """Runs ``session``; may be used by several threads at once.

    device: ONNX Runtime's word for where the buffers lie: "cuda" or "cpu".
    device_id: which of several.
    capture: whether runs are recorded as CUDA graphs, one for each shape of images, and replayed.

    Callers decide on the shapes, where the input varies: the buffers of the `MAX_SHAPES` that
    came last are kept; others are let go, with their graphs.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        outputs: Sequence[Tensor],
        device: str,
        device_id: int = 0,
        *,
        capture: bool = False,
    ) -> None:
        """Raises GraphCaptureError if graphs are to be recorded whose outputs vary in size."""
        self._session, self._outputs = session, outputs
        self._device, self._device_id, self._capture = device, device_id, capture
        # by shape, the least recently used first
        self._free: OrderedDict[tuple[int, ...], list[Buffers]] = OrderedDict()
        self._graphs = count(1)
        self._lock = threading.Lock()
        # a graph is recorded once for each shape, and has one set of buffers
        self._turn = threading.Lock() if capture else contextlib.nullcontext()
        varying = [spec.name for spec in outputs if not _is_fixed(spec)]
        if capture and varying:
            raise GraphCaptureError(
                f"CUDA graphs need outputs of fixed size, and {', '.join(varying)} vary; leave"
                " cuda_graphs off for this model"
            )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs, on the CPU, by name."""
        with self._turn:
            return self._run(feeds)

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        images = feeds[IMAGES]
        buffers = self._take(images)
        buffers.images.update_inplace(images)
        for name, value in feeds.items():
            if name != IMAGES:
                buffers.binding.bind_cpu_input(name, value)
        for spec in self._outputs:
            if not _is_fixed(spec):  # else the last run's, and its size, would be kept
                buffers.binding.bind_output(spec.name, "cpu")
        options = ort.RunOptions()
        options.add_run_config_entry(GRAPH_ID, str(buffers.graph))
        self._session.run_with_iobinding(buffers.binding, options)
        found = buffers.binding.copy_outputs_to_cpu()  # in the order of their binding
        values = {spec.name: array for spec, array in zip(self._outputs, found, strict=True)}
        self._keep(images.shape, buffers)
        return values

    def _keep(self, shape: tuple[int, ...], buffers: Buffers) -> None:
        """Keep buffers that are free now, and let go of those whose shape came longest ago."""
        with self._lock:
            self._free.setdefault(shape, []).append(buffers)
            self._free.move_to_end(shape)
            over = len(self._free) > MAX_SHAPES
            oldest = self._free.popitem(last=False)[1] if over else []
        for one in oldest:
            if one.graph != UNRECORDED:
                self._session.release_captured_graph(one.graph)

    def _take(self, images: Array) -> Buffers:
        """Free buffers, made if there are none."""
        with self._lock:
            if free := self._free.get(images.shape):
                return free.pop()
        binding = self._session.io_binding()
        graph = next(self._graphs) if self._capture else UNRECORDED
        buffers = Buffers(binding, self._allocate(images.shape, images.dtype), graph)
        binding.bind_ortvalue_input(IMAGES, buffers.images)
        for spec in self._outputs:
            if _is_fixed(spec):
                shape = (len(images), *map(int, spec.shape[1:]))
                output = self._allocate(shape, DTYPES[spec.dtype])
                binding.bind_ortvalue_output(spec.name, output)
            else:
                binding.bind_output(spec.name, "cpu")
        return buffers

    def _allocate(self, shape: Sequence[int], dtype: np.dtype[Any]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_shape_and_type(
            list(shape), dtype.type, self._device, self._device_id
        )


def _is_fixed(spec: Tensor) -> bool:
    """Whether the size follows from the number of images alone."""
    return all(isinstance(size, int) for size in spec.shape[1:])
