"""Memory that is free, but that the process still holds."""

import contextlib
import ctypes


def trim_memory() -> None:
    """Give what is free back to the system, where the C library can (glibc).

    A session's weights and buffers come from many threads' arenas. Once it is gone, or what its
    making took beside them, glibc keeps their pages: each swap of a model made the process larger
    by about two of its graphs, and each load by another.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
