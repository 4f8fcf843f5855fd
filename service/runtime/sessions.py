"""The sessions of a graph, by ONNX Runtime or OpenVINO, and what they run on.

Two sessions of one thread each give more images a second than one of two threads; a single image
is ready sooner with two. So a model on a CPU has a throughput and a latency session, which share
its weights.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import onnxruntime as ort

from service.providers import CPU, OPENVINO, ExecutionProvider
from service.runtime.mapped_graph import open_mapped, optimize_once
from service.runtime.openvino_session import OpenVinoSession
from service.runtime.optimized_graph import IN_MEMORY, optimized

# How long the threads of a latency run spin while they wait for each other's part of an operator.
# Without, such a run takes 1.2 to 1.5 times as long; without an end, as ONNX Runtime has it, three
# times as long as soon as another process wants one of the processors (docs/operations.md).
LATENCY_SPIN_US = 30


@dataclass(frozen=True)
class Device:
    """What a model's sessions run on.

    providers: the first is asked for; what it cannot compute goes to the next, and to the CPU.
    threads: of each run on a CPU; 0 takes every processor.
    latency_threads: of a run on a CPU that has the machine to itself; None for ``threads``.
    options: of the first provider, on top of its row's.
    allow_fallback: whether a session may run on less than was asked for.
    capture: whether runs are recorded as CUDA graphs.
    runs: that go on at once; only OpenVINO has to know.
    weights_folder: where the processes of a service share weights; None for one that is alone.
    bf16: whether OpenVINO computes in bfloat16.
    """

    providers: tuple[ExecutionProvider, ...] = (CPU,)
    threads: int = 1
    latency_threads: int | None = None
    options: Mapping[str, str] | None = None
    allow_fallback: bool = False
    capture: bool = False
    runs: int = 1
    bf16: bool = False
    weights_folder: Path | None = None

    @property
    def number(self) -> int:
        """Which of several devices it is."""
        option = self.providers[0].device_option
        return int((self.options or {}).get(option, 0)) if option else 0

    @property
    def for_ort(self) -> list[str | tuple[str, dict[str, str]]]:
        """Providers and their options as ONNX Runtime takes them."""
        first, *others = self.providers
        capture = {first.capture_option: "1"} if self.capture and first.capture_option else {}
        asked: list[str | tuple[str, dict[str, str]]] = [
            (first.ort_name, {**first.options, **capture, **(self.options or {})})
        ]
        asked += [(row.ort_name, dict(row.options)) for row in others]
        return asked if CPU in self.providers else [*asked, CPU.ort_name]


Session: TypeAlias = ort.InferenceSession | OpenVinoSession


@dataclass(frozen=True)
class Sessions:
    """throughput: for runs side by side, each on ``threads`` of its device.
    latency: for a run that has the machine to itself, on ``latency_threads``; None where that is
        the same number, and where it is not a CPU that runs.
    weights: what both read from and do not own: values, or the file that they are mapped from.
    """

    throughput: Session
    latency: Session | None = None
    weights: tuple[ort.OrtValue | Path, ...] = ()


def open_sessions(graph: Path, device: Device, batches: tuple[int, ...] = ()) -> Sessions:
    """``batches``: numbers of images to compile for, where that is done.

    Raises what the runtime does if it cannot run ``graph``.
    """
    threads, latency_threads = device.threads, device.latency_threads or device.threads
    first = device.providers[0]
    if first is OPENVINO:
        opened = partial(OpenVinoSession, graph, bf16=device.bf16, batches=batches)
        throughput = opened(runs=device.runs, threads=threads)
        alone = opened(runs=1, threads=latency_threads) if latency_threads != threads else None
        return Sessions(throughput, alone)
    options = _options(threads)
    latency_options = None
    if first is CPU and latency_threads != threads:
        latency_options = _options(latency_threads, spin=True)
    if first is CPU and device.weights_folder is not None:
        unshared = _options(threads, shared_memory=False)
        mapped = optimize_once(graph, unshared, device.weights_folder)
        latency = latency_options and open_mapped(mapped, latency_options)
        return Sessions(open_mapped(mapped, options), latency, (mapped,))
    if latency_options is None:
        return Sessions(ort.InferenceSession(graph, options, device.for_ort))
    if not IN_MEMORY:
        both = (ort.InferenceSession(graph, o, device.for_ort) for o in (options, latency_options))
        return Sessions(*both)
    # one that is not kept has memory of its own, which goes with it
    with optimized(graph, _options(threads, shared_memory=False)) as common:
        return Sessions(common.open(options), common.open(latency_options), common.weights)


def _options(threads: int, *, spin: bool = False, shared_memory: bool = True) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # A thread that waits by spinning takes the processor from those who work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(LATENCY_SPIN_US))
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
