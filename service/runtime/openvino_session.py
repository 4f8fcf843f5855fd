"""OpenVINO behind the interface of ONNX Runtime's sessions.

Its kernels compute in bfloat16 where the processor can (AVX-512 BF16 or AMX, of Intel and AMD
alike), which ONNX Runtime's cannot. The package openvino is optional, and loaded only if asked for.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
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

    runs: that go on at once, each on ``threads`` threads; further ones wait.
    bf16: whether layers are computed in bfloat16, else in float32.
    batches: numbers of images that are run, each compiled for itself, which is a tenth faster than
        one for any number. Empty: any number, and size.
    """

    def __init__(
        self, graph: Path, *, runs: int, threads: int, bf16: bool, batches: Sequence[int] = ()
    ) -> None:
        """Raises what OpenVINO does if it refuses the graph."""
        import openvino

        self._model = openvino.Core().read_model(graph)
        self._options = {
            "NUM_STREAMS": runs,
            "INFERENCE_NUM_THREADS": runs * threads,
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "ENABLE_CPU_PINNING": False,  # it knows nothing of other models and processes
        }
        # its threads have the priority of the one that compiles
        with ThreadPoolExecutor(1, initializer=lower_priority) as lowered:
            self._compiled = {
                size: lowered.submit(self._compile, size).result() for size in batches or (None,)
            }
        self._local = threading.local()  # a request each

    def get_providers(self) -> list[str]:
        return [OPENVINO.ort_name]

    def get_inputs(self) -> list[Port]:
        return [_port(port) for port in self._model.inputs]

    def get_outputs(self) -> list[Port]:
        return [_port(port) for port in self._model.outputs]

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs called ``names``; raises KeyError for a number of images that was not
        compiled."""
        request = self._request(len(feeds[IMAGES]))
        found = request.infer(dict(feeds), share_inputs=True)
        return [np.array(found[name]) for name in names]  # the request's own are overwritten

    def _compile(self, size: int | None) -> Any:
        import openvino

        model = self._model
        if size is not None:
            model = model.clone()
            shape = model.input(IMAGES).partial_shape
            shape[0] = size
            model.reshape({IMAGES: shape})
        return openvino.Core().compile_model(model, "CPU", self._options)

    def _request(self, size: int) -> Any:
        """The calling thread's own, which no other uses."""
        requests: dict[int | None, Any] = self._local.__dict__.setdefault("requests", {})
        key = None if None in self._compiled else size
        if key not in requests:
            requests[key] = self._compiled[key].create_infer_request()
        return requests[key]


def _port(port: Any) -> Port:
    shape = [None if size.is_dynamic else size.get_length() for size in port.partial_shape]
    kind = port.element_type.get_type_name()
    return Port(port.any_name, f"tensor({TYPES.get(kind, kind)})", shape)
