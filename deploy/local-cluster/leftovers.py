"""Ends processes whose parent was killed; they are found by their environment."""

import os
from contextlib import suppress

import psutil


def end_leftovers(variable: str, value: str, seconds: float) -> int:
    """End all other processes whose environment has ``variable`` as ``value``; their number.

    They get SIGTERM, and SIGKILL after ``seconds``.
    """
    found = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(variable) == value and process.pid != os.getpid()
    ]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, seconds)
    return len(found)
