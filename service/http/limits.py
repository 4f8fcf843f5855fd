"""What clients may take of a worker's connections, and what these take of the system."""

import resource
from dataclasses import dataclass, fields

from service.scoreboard import Scoreboard
from service.settings import Settings

OTHER_FILES = 256  # that a worker has open besides connections


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may take; the fields are those of `service.settings.Settings`.

    The limit of connections is for all, that of an address for those of one; None: no limit.
    """

    max_head_bytes: int = 64 * 2**10
    head_timeout_ms: int = 10_000
    min_body_rate: int = 1000
    unread_timeout_ms: int = 30_000
    keep_alive_timeout_ms: int = 75_000
    max_connections: int = 4096
    max_address_connections: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


def connections_place(board: Scoreboard) -> int:
    """The cell of how many connections a worker has."""
    return board.cells("connections", gauge=True)


def allow_files(count: int) -> None:
    """A connection is an open file, of which most systems allow a process 1024 unless it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
