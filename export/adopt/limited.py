"""Runs work on a file that anybody may have made in a process of its own, with bounds: a graph that
asks for all memory, never ends or crashes its runtime ends that process alone."""

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from export.adopt.safety import ForeignError
from export.progress import SILENT, ProgressReporter
from service.terminal import one_line

Result = TypeVar("Result")
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Limits:
    """Bounds of a process: address space, and time from its start."""

    memory_bytes: int = 12 << 30
    seconds: float = 3600.0


def run_limited(
    work: Callable[..., Result],
    *args: Any,
    limits: Limits = Limits(),
    progress: ProgressReporter = SILENT,
) -> Result:
    """``work(*args, progress=…)`` in a process of its own; all of it is pickled.

    Raises ForeignError, with the message of what ``work`` raised, or what ended the process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["export.adopt.adoption"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, limits, work, args), daemon=True)
    process.start()
    sender.close()
    deadline = time.monotonic() + limits.seconds
    try:
        while True:
            if not receiver.poll(POLL_SECONDS):
                if time.monotonic() > deadline:
                    raise ForeignError(
                        f"took more than {limits.seconds:.0f} s; --minutes allows more"
                    )
                continue
            try:
                kind, content = receiver.recv()
            except EOFError:
                process.join()
                raise ForeignError(_ending(process.exitcode or 0, limits)) from None
            if kind == "done":
                result: Result = content
                return result
            if kind == "failed":
                raise ForeignError(content)
            getattr(progress, kind)(*content)
    finally:
        process.kill()
        process.join()
        receiver.close()


def _ending(status: int, limits: Limits) -> str:
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return (
        f"the process that read it ended {how}: the file is damaged or hostile, or needs more than"
        f" {limits.memory_bytes / 2**30:.0f} GB (--memory)"
    )


class _Reporter(ProgressReporter):
    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def step(self, name: str) -> None:
        self._sender.send(("step", (name,)))

    def update(self, done: int, total: int) -> None:
        self._sender.send(("update", (done, total)))


def _work(sender: Connection, limits: Limits, work: Callable[..., Any], args: tuple[Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sender.send(("done", work(*args, progress=_Reporter(sender))))
    except MemoryError:
        gigabytes = limits.memory_bytes / 2**30
        sender.send(("failed", f"needs more than {gigabytes:.0f} GB of memory (--memory)"))
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        sender.send(("failed", one_line(error)))
