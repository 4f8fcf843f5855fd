"""Threads that work, and give way to the one that talks."""

import contextlib
import os
import threading

# Linux weighs a thread of this niceness a third of one of 0.
NICENESS = 5


def lower_priority() -> None:
    """Let the event loop go before the calling thread, where the system weighs threads (Linux).

    On busy processors each runnable thread gets the same share. The runners and decoders together
    would leave the loop, which answers everybody, less than it needs: under overload a refusal then
    waits behind the work that it refuses to add to (docs/soak.md).
    """
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
