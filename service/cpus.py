"""Which processors this process may use, how many, and with what priority."""

import contextlib
import os
import re
import threading
from collections.abc import Collection
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
TOPOLOGY = Path("/sys/devices/system/cpu")
# Linux gives a thread of this niceness a third of the weight of one of 0.
NICENESS = 5


def own_processors() -> frozenset[int]:
    """Those that the scheduler's affinity grants; none where the system does not say (it is not
    Linux)."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def available_cpus(limit_file: Path = CGROUP_LIMIT, workers: int = 1) -> int:
    """The processors of this process, one of so many ``workers``, by the scheduler's affinity and
    its part of the container's quota; at least one.

    ``limit_file`` is cgroup v2's: "<quota> <period>" in microseconds, or "max <period>".
    """
    granted = len(own_processors()) or max(1, (os.cpu_count() or 1) // workers)
    try:
        quota, period = limit_file.read_text().split()
        return max(1, min(granted, int(quota) // int(period) // workers))
    except (OSError, ValueError):  # no cgroup v2, or no limit
        return granted


def take_share(worker: int, workers: int) -> None:
    """Confine this process, the ``worker`` of that number from 1, to its part of the processors,
    where the system can; so all that it starts is confined too."""
    processors = own_processors()
    if processors and workers > 1:
        with contextlib.suppress(OSError):  # what a container forbids is left to the scheduler
            os.sched_setaffinity(0, share(processors, worker, workers))


def share(
    processors: Collection[int], worker: int, workers: int, topology: Path = TOPOLOGY
) -> set[int]:
    """The part of one of several workers: no two have the same, if there are enough. Processors
    that share a memory or a core stay together."""
    ordered = sorted(processors, key=lambda processor: _place(topology / f"cpu{processor}"))
    number, count = (worker - 1) % workers, len(ordered)
    if count < workers:
        return {ordered[number % count]}
    return set(ordered[number * count // workers : (number + 1) * count // workers])


def _place(processor: Path) -> tuple[int, ...]:
    """Node, package and core, as far as the system tells, and its own number."""
    node = next((path.name for path in processor.glob("node[0-9]*")), "0")
    place = [node]
    for name in ("physical_package_id", "core_id"):
        try:
            place.append((processor / "topology" / name).read_text().strip())
        except OSError:
            place.append("0")
    place.append(processor.name)
    return tuple(int(re.sub(r"\D", "", one) or 0) for one in place)


def lower_priority() -> None:
    """Lower the priority of the calling thread below the event loop's, on Linux.

    On busy processors each runnable thread gets the same share. The runs and decoders together
    would leave the event loop, which answers everybody, less than it needs: under overload a
    refusal would wait behind the very work that it is to keep away (docs/soak.md).
    """
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
