"""How much memory this process may take."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def available_memory(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Bytes: the least of what the machine has, what the container's cgroup and those around it
    may take (v2, or v1 at its root), and the limit of the process's addresses (RLIMIT_AS)."""
    return min([*_machine(), *_cgroups(cgroups, own), *_addresses()])


def _machine() -> Iterator[int]:
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroups(cgroups: Path, own: Path) -> Iterator[int]:
    places = {("", "memory.max"): cgroups, ("memory", "memory.limit_in_bytes"): cgroups / "memory"}
    memberships = {"": "/", "memory": "/"}  # as a container sees its own
    with contextlib.suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            memberships |= dict.fromkeys(controllers.split(","), path)
    for (controller, name), root in places.items():
        folder = root / memberships[controller].lstrip("/")
        for parent in (folder, *folder.parents):
            with contextlib.suppress(OSError, ValueError):  # it is not there, or says "max"
                yield int((parent / name).read_text())


def _addresses() -> Iterator[int]:
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield limit
