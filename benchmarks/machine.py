"""The hardware and software of a run."""

import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil

from service.cpus import available_cpus

CPU_FILE = Path("/proc/cpuinfo")
USED = ("onnxruntime", "bentoml", "uvicorn", "uvloop", "numpy", "pillow", "cykooz-resizer")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16")  # that kernels use


def describe_machine() -> dict[str, str]:
    """By their names in the report."""
    flags = _of_processor("flags").split()
    return {
        "processor": _of_processor("model name") or platform.processor(),
        "processors": str(available_cpus()),
        "instructions": ", ".join(name for name in INSTRUCTIONS if name in flags) or "unknown",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in USED),
        "date": f"{date.today():%-d %B %Y}",
        "load before the run": f"{psutil.getloadavg()[0]:.2f}",
    }


def _of_processor(name: str) -> str:
    """A field of the first processor; empty on systems without /proc/cpuinfo."""
    if not CPU_FILE.is_file():
        return ""
    for line in CPU_FILE.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
