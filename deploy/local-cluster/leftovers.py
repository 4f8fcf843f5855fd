"""Processes whose parent was killed, found by what stands in their environment."""

import os
from contextlib import suppress

import psutil


def end_leftovers(variable: str, value: str, seconds: float) -> int:
    """End every other process whose environment has ``variable`` as ``value``; how many there were.

    They are asked to (SIGTERM), and killed once ``seconds`` are over.
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
