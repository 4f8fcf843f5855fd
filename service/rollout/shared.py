"""The tallies of all workers of a service, in the scoreboard: what one has counted, all know."""

from hashlib import blake2b

import numpy as np

from service.rollout.statistics import TALLY_PARTS, Array, Tally
from service.scoreboard import Row, Scoreboard

CELLS = sum(TALLY_PARTS)


class SharedTallies:
    """One of each model, of its last trial. What one has counted that has ended stays counted.

    The first cell of a tally says which trial it is of: a worker that has not heard of the newest
    counts for nothing.
    """

    def __init__(self, board: Scoreboard) -> None:
        self._board = board

    def own(self, model: str, trial: str) -> Tally:
        """This worker's, which it adds to; empty if its last one is of another trial."""
        place, mark = self._place(model), _mark(trial)
        if self._board.own[place] != mark:
            _cells(self._board.own, place)[:] = 0
            self._board.own[place] = mark
        return Tally(_cells(self._board.own, place))

    def total(self, model: str, trial: str) -> Tally:
        """Of all workers."""
        place, mark = self._place(model), _mark(trial)
        total = Tally()
        for row in self._board.used:
            if row[place] == mark:
                total.cells += _cells(row, place)
        return total

    def _place(self, model: str) -> int:
        return self._board.cells("rollout", (model,), 1 + CELLS)


def _cells(row: Row, place: int) -> Array:
    """The cells of a tally in a row, for reading and writing."""
    return np.asarray(row[place + 1 : place + 1 + CELLS])


def _mark(trial: str) -> float:
    """A number of the trial; no cell is it by chance."""
    return float(1 + int.from_bytes(blake2b(trial.encode(), digest_size=6).digest(), "big"))
