"""Which processors this process may use, how many, and with what priority."""

import contextlib
import os
import threading
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
# Linux gives a thread of this niceness a third of the weight of one of 0.
NICENESS = 5


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


def lower_priority() -> None:
    """Lower the priority of the calling thread below the event loop's, on Linux.

    On busy processors each runnable thread gets the same share. The runs and decoders together
    would leave the event loop, which answers everybody, less than it needs: under overload a
    refusal would wait behind the very work that it is to keep away (docs/soak.md).
    """
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
