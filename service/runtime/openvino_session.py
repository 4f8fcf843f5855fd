"""OpenVINO behind the interface of ONNX Runtime's sessions.

Its kernels compute in bfloat16 where the processor can (AVX-512 BF16 or AMX, of Intel and AMD
alike), which ONNX Runtime's cannot. The package openvino is optional, and loaded only if asked for.
"""

import mmap
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from service.cpus import lower_priority
from service.providers import OPENVINO

Array = npt.NDArray[Any]

IMAGES = "images"
TYPES = {"f32": "float", "u8": "uint8", "i64": "int64", "boolean": "bool"}  # in manifests' words


@dataclass(frozen=True)
class Port:
    """An input or output, as ONNX Runtime describes one. shape: None where a size varies."""

    name: str
    type: str
    shape: list[int | None]


class OpenVinoSession:
    """Runs a graph on the CPU; may be used by several threads at once.

    runs: that go on at once, each with packed weights of its own and on ``threads`` threads, of
        which the caller's is one; further ones wait.
    bf16: whether layers are computed in bfloat16, else in float32.
    batches: numbers of images that are run, each compiled for itself, which is a tenth faster than
        one for any number. Empty: any number, and size.
    """

    def __init__(
        self, graph: Path, *, runs: int, threads: int, bf16: bool, batches: Sequence[int] = ()
    ) -> None:
        """Raises what OpenVINO does if it refuses the graph."""
        options = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "ENABLE_CPU_PINNING": False,  # it knows nothing of other models and processes
        }
        self.runs = runs
        self._free: dict[int | None, SimpleQueue[Any]] = {}
        model, self._weights = _read(graph)
        self._inputs = [_port(port) for port in model.inputs]
        self._outputs = [_port(port) for port in model.outputs]
        # its threads have the priority of the one that compiles
        with ThreadPoolExecutor(1, initializer=lower_priority) as lowered:
            for size in batches or (None,):
                sized = model if size is None else _of_size(model, size)
                self._free[size] = SimpleQueue()
                # Several streams of one compiled model would run on threads of OpenVINO's own,
                # which the scheduler puts on processors that other runs have.
                for _ in range(runs):
                    compiled = lowered.submit(_compile, sized, options).result()
                    self._free[size].put(compiled.create_infer_request())
        if hasattr(mmap, "MADV_DONTNEED"):
            self._weights.madvise(mmap.MADV_DONTNEED)

    def get_providers(self) -> list[str]:
        return [OPENVINO.ort_name]

    def get_inputs(self) -> list[Port]:
        return self._inputs

    def get_outputs(self) -> list[Port]:
        return self._outputs

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs called ``names``; raises KeyError for a number of images that was not
        compiled."""
        free = self._free[None if None in self._free else len(feeds[IMAGES])]
        request = free.get()
        try:
            found = request.infer(dict(feeds), share_inputs=True)
            return [np.array(found[name]) for name in names]  # the request's own are overwritten
        finally:
            free.put(request)


def _read(graph: Path) -> tuple[Any, mmap.mmap]:
    """OpenVINO's model of a graph, and its weights, which have to outlive what is compiled of it.

    That packs its weights and hardly reads these any more, but keeps them. So they are mapped from
    a file, in OpenVINO's own format: their pages can be let go.
    """
    import openvino

    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "graph.xml"
        openvino.save_model(core.read_model(graph), own, compress_to_fp16=False)
        with own.with_suffix(".bin").open("rb") as file:
            weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        content = own.read_bytes()
    tensor = openvino.Tensor(np.frombuffer(weights, np.uint8), shared_memory=True)
    return core.read_model(content, tensor), weights


def _of_size(model: Any, images: int) -> Any:
    """``model`` for so many images and no other number."""
    sized = model.clone()
    shape = sized.input(IMAGES).partial_shape
    shape[0] = images
    sized.reshape({IMAGES: shape})
    return sized


def _compile(model: Any, options: Mapping[str, Any]) -> Any:
    import openvino

    return openvino.Core().compile_model(model, "CPU", dict(options))


def _port(port: Any) -> Port:
    shape = [None if size.is_dynamic else size.get_length() for size in port.partial_shape]
    kind = port.element_type.get_type_name()
    return Port(port.any_name, f"tensor({TYPES.get(kind, kind)})", shape)
