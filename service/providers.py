"""What a graph may run on, one row each: ONNX Runtime's execution providers, and OpenVINO.

The installed build of ONNX Runtime decides which of its providers are available: the plain one has
only the CPU's.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime as ort

from service.settings import ModelSettings

BF16_MIN_GAIN = 1.3  # times as fast that bfloat16 has to be, to be chosen for its speed
CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # instructions that multiply bfloat16


class ProviderError(Exception):
    """A provider that was asked for and is not there; the message says what to do."""


@dataclass(frozen=True)
class ExecutionProvider:
    """A row of `PROVIDERS`.

    name: as settings write it; ``ort_name`` as ONNX Runtime does.
    install: the package that has it, in place of ``onnxruntime`` if it is another build of that.
    options: given to it, unless the settings say otherwise.
    max_batch_size: that pays where nothing else is set. On a CPU a larger batch takes as long for
        each image and holds all of them in memory; an accelerator is idle with a small one.
    runs_per_cpu: whether as many batches run at once as there are processors, a thread each, which
        decodes their photos too; else one batch at a time has the device for itself.
    latency_session: whether a run that has the machine to itself has a session on all processors,
        unless the settings say otherwise: not where that would hold the weights once more.
    fixed_batches: whether each new batch size costs a compilation or a search for algorithms, so
        that only powers of two are run, all of them before the model counts as ready.
    device_option: which of several devices is meant, by its number; None if there is but one.
    memory: ONNX Runtime's word for the device's own memory, in which buffers are kept from run to
        run (`service.runtime.bound_session`); None where they lie in the processor's.
    capture_option: what has runs recorded as CUDA graphs; None where there are none.
    """

    name: str
    ort_name: str
    install: str
    options: Mapping[str, str] = field(default_factory=dict)
    max_batch_size: int = 8
    runs_per_cpu: bool = False
    latency_session: bool = True
    fixed_batches: bool = True
    device_option: str | None = None
    memory: str | None = None
    capture_option: str | None = None

    @property
    def is_available(self) -> bool:
        if self.name == "openvino":
            return importlib.util.find_spec("openvino") is not None
        return self.ort_name in ort.get_available_providers()


_Row = ExecutionProvider
# In the order in which "auto" tries them.
PROVIDERS = {
    row.name: row
    for row in (
        _Row(
            "tensorrt",
            "TensorrtExecutionProvider",
            "onnxruntime-gpu",
            # engines take minutes to build: keep them beside each other, by graph and device
            {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"},
            device_option="device_id",
            memory="cuda",
            capture_option="trt_cuda_graph_enable",
        ),
        _Row(
            "cuda",
            "CUDAExecutionProvider",
            "onnxruntime-gpu[cuda,cudnn]",
            # EXHAUSTIVE, ONNX Runtime's default, tries every algorithm at each new input shape.
            # TF32 multiplies with 10 bits: faster, and not what was proven at export.
            {
                "cudnn_conv_algo_search": "HEURISTIC",
                "cudnn_conv_use_max_workspace": "1",
                "use_tf32": "0",
            },
            device_option="device_id",
            memory="cuda",
            capture_option="enable_cuda_graph",
        ),
        _Row("coreml", "CoreMLExecutionProvider", "onnxruntime"),
        _Row(
            "directml",
            "DmlExecutionProvider",
            "onnxruntime-directml",
            device_option="device_id",
        ),
        _Row(
            "cpu",
            "CPUExecutionProvider",
            "onnxruntime",
            max_batch_size=2,
            runs_per_cpu=True,
            fixed_batches=False,
        ),
        # Not ONNX Runtime's provider of that name, which is slower than the CPU's own and knows no
        # bfloat16 on AMD: OpenVINO itself (`service.runtime.openvino_session`). Larger batches gain
        # nothing, and cost a compilation each.
        _Row(
            "openvino",
            "OpenVINO",
            "openvino",
            max_batch_size=1,
            runs_per_cpu=True,
            latency_session=False,
        ),
    )
}
CPU, OPENVINO = PROVIDERS["cpu"], PROVIDERS["openvino"]
AUTO = "auto"


def providers_of(wanted: ModelSettings) -> list[ExecutionProvider]:
    """What a model is run on as the settings ``wanted`` have it, the first if it is there; with the
    runtime "auto" unless OpenVINO turns out faster. Raises ProviderError."""
    asked: Sequence[str] = wanted.execution_providers
    if wanted.runtime == "openvino":
        if not {CPU.name, OPENVINO.name}.issuperset(asked):
            raise ProviderError(
                f"runtime = openvino runs on the CPU, and not on {', '.join(asked)}; leave one out"
            )
        asked = [OPENVINO.name]
    rows = choose_providers(asked, allow_fallback=wanted.allow_fallback)
    if wanted.precision == "bf16" and wanted.runtime != "auto":
        if rows[0] is not OPENVINO:
            raise ProviderError(
                "precision = bf16: ONNX Runtime does not compute in it; set runtime = openvino"
            )
        if not has_bf16():
            raise ProviderError(
                "precision = bf16: this processor has no instructions for it (avx512_bf16 or"
                " amx_bf16); leave it out"
            )
    return rows


def may_run_bf16(wanted: ModelSettings) -> bool:
    """Whether OpenVINO can run a model in bfloat16 in place of ONNX Runtime's CPU provider."""
    return list(wanted.execution_providers) == [CPU.name] and OPENVINO.is_available and has_bf16()


def has_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the processor multiplies bfloat16. Where it does not, OpenVINO would compute in
    float32, or slower."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:  # it is not Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def choose_providers(
    asked: Sequence[str], *, allow_fallback: bool = False
) -> list[ExecutionProvider]:
    """The rows that ``asked`` names, in that order, if this ONNX Runtime has them.

    "auto" means the first of `PROVIDERS` that is there. With ``allow_fallback`` those that are not
    there are passed over, down to the CPU. Raises ProviderError for an unknown or missing one.
    """
    if list(asked) == [AUTO]:
        return [next(row for row in PROVIDERS.values() if row.is_available)]
    for name in asked:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise ProviderError(f"{name}: is no execution provider; there are {known}")
    rows = [PROVIDERS[name] for name in asked]
    missing = [row for row in rows if not row.is_available]
    if missing and not allow_fallback:
        row = missing[0]
        if row is OPENVINO:
            raise ProviderError("openvino: the package openvino is not installed; install it")
        raise ProviderError(
            f"{row.name}: this ONNX Runtime {ort.__version__} has no {row.ort_name}; install"
            f" {row.install} in its place, or allow the fall to another (allow_fallback)"
        )
    return [row for row in rows if row.is_available] or [CPU]
