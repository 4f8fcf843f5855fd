"""What else the machine did while it was measured."""

import resource
import time

import psutil

OURS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Watch:
    """Over the processors, from its making on."""

    def __init__(self) -> None:
        self._began, self._busy, self._ours = time.perf_counter(), _busy(), _ours()

    def others(self, server_seconds: float = 0.0) -> float:
        """The share, 0 to 1, of all processors' time that went to processes with no part in the
        measurement, the system's own work included.

        server_seconds: what a server, which goes on, has used; what this process has started and
        seen end is known.
        """
        whole = (time.perf_counter() - self._began) * (psutil.cpu_count() or 1)
        taken = _busy() - self._busy - (_ours() - self._ours) - server_seconds
        return min(1.0, max(0.0, taken / whole))


def _busy() -> float:
    """Seconds of all processors since the machine's start."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _ours() -> float:
    usages = [resource.getrusage(who) for who in OURS]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
