"""The load of processes that have no part in the measurement."""

import resource
import time

import psutil

OURS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class BackgroundLoad:
    """Processor time of the whole machine, counted from the construction of this object."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.perf_counter(), _busy(), _ours()

    def share(self, server_seconds: float = 0.0) -> float:
        """The share, 0 to 1, of all processors' time that went to processes outside the
        measurement, the operating system included.

        server_seconds: processor time of the measured server, which is still running. The time of
        this process and of its children that have ended is known.
        """
        whole = (time.perf_counter() - self._began) * (psutil.cpu_count() or 1)
        taken = _busy() - self._busy - (_ours() - self._ours) - server_seconds
        return min(1.0, max(0.0, taken / whole))


def _busy() -> float:
    """Busy seconds of all processors since the machine's start."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _ours() -> float:
    usages = [resource.getrusage(processes) for processes in OURS]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
