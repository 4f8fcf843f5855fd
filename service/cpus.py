"""How many processors this process may use."""

import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available_cpus(limit_file: Path = CGROUP_LIMIT) -> int:
    """The processors granted by the scheduler's affinity and the container's quota; at least one.

    ``limit_file`` is cgroup v2's: "<quota> <period>" in microseconds, or "max <period>".
    """
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = limit_file.read_text().split()
        return max(1, min(granted or 1, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or no limit
        return granted or 1
