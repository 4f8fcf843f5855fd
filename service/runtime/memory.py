"""Memory that is free, but that the process still holds."""

import contextlib
import ctypes

from PIL import Image

# glibc's names in malloc.h, and bytes. Left to itself it keeps, of what each thread frees, up to
# twice the largest buffer that ever came, and at most 64 MB. Usual photos must find their buffers
# again in what is kept, so those below the second limit are not asked of the system one by one.
M_TRIM_THRESHOLD, KEPT_FREE = -1, 16 * 2**20
M_MMAP_THRESHOLD, KEPT_LARGEST = -3, 32 * 2**20
# Pillow asks for a picture's memory in blocks, of 16 MB by itself: of a large one each would be
# kept, in the arena of the thread that decoded it. Blocks above the limit are given back.
PILLOW_BLOCK = 2 * KEPT_LARGEST


def trim_memory() -> None:
    """Give what is free back to the system, where the C library can (glibc).

    A session's weights and buffers come from many threads' arenas. Once it is gone, or what its
    making took beside them, glibc keeps their pages: each swap of a model made the process larger
    by about two of its graphs, and each load by another.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_free_memory() -> None:
    """Have what large photos leave free given back by itself, where the C library can (glibc)."""
    Image.core.set_block_size(PILLOW_BLOCK)  # type: ignore[attr-defined]  # Pillow's types lack it
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, KEPT_LARGEST)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_FREE)
