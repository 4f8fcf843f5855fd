"""The states that a model of the store can be in.

failed ◄── load ── waiting ──► ready ◄──► set aside (to make room; loaded again when asked for)
                                 │
                                 └──────► unloaded (by an operator; until one loads it again)
"""

from enum import Enum


class State(Enum):
    READY = "ready"
    SET_ASIDE = "set aside"
    UNLOADED = "unloaded"
    FAILED = "failed"
