"""ONNX Runtime's sessions of a graph.

Two sessions of one thread each give more images a second than one of two threads; a single image
is ready sooner with two. So a model on a CPU has both kinds, and its weights once.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from service.providers import CPU
from service.runtime.device import Device
from service.runtime.optimized_graph import IN_MEMORY, optimized

# For so long the threads of a lone run spin while they wait for each other's part of an operator.
# Without, such a run takes 1.2 to 1.5 times as long; without an end, as ONNX Runtime has it, three
# times as long as soon as another process wants one of the processors (docs/operations.md).
LONE_SPIN_US = 30


@dataclass(frozen=True)
class Sessions:
    """busy: for runs side by side, each on ``threads`` of its device.
    lone: for a run beside which there is nothing to do, on ``lone_threads``; None where that is no
        other number, and where it is not a CPU that runs.
    weights: what both read from and do not own.
    """

    busy: ort.InferenceSession
    lone: ort.InferenceSession | None = None
    weights: tuple[ort.OrtValue, ...] = ()


def open_sessions(graph: Path, device: Device) -> Sessions:
    """Raises what ONNX Runtime does if it cannot run ``graph``."""
    options = _options(device.threads)
    if device.providers[0] is not CPU or device.lone_threads in (None, device.threads):
        return Sessions(ort.InferenceSession(graph, options, device.for_ort))
    lone_options = _options(device.lone_threads, lone=True)
    if not IN_MEMORY:
        busy, lone = (
            ort.InferenceSession(graph, o, device.for_ort) for o in (options, lone_options)
        )
        return Sessions(busy, lone)
    # one that is not kept has memory of its own, which goes with it
    with optimized(graph, _options(device.threads, shared_memory=False)) as common:
        return Sessions(common.open(options), common.open(lone_options), common.weights)


def _options(threads: int, *, lone: bool = False, shared_memory: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # A thread that waits by spinning takes the processor from those who work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if lone else "0")
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(LONE_SPIN_US))
    options.add_session_config_entry("session.force_spinning_stop", "1")  # once the run has ended
    if shared_memory:
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    return options


@functools.cache
def _share_memory() -> None:
    """Let all sessions of the process take their memory from one place.

    Each would keep for itself what its largest run has needed; together they need what runs at
    once needs.
    """
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, None)
