"""Which processors this process may use, and how many."""

import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def own_processors() -> frozenset[int]:
    """Those that the scheduler's affinity grants; none where the system does not say (it is not
    Linux)."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def available_cpus(limit_file: Path = CGROUP_LIMIT) -> int:
    """The processors granted by the scheduler's affinity and the container's quota; at least one.

    ``limit_file`` is cgroup v2's: "<quota> <period>" in microseconds, or "max <period>".
    """
    granted = len(own_processors()) or os.cpu_count() or 1
    try:
        quota, period = limit_file.read_text().split()
        return max(1, min(granted, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or no limit
        return granted
