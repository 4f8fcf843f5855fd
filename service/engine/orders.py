"""What operators order of models holds in every worker: also in those that are started later.

a worker is asked ─► does it ─► the scoreboard ─► every worker does it ─► the reply
"""

import asyncio
from collections.abc import Callable
from typing import Any

from service.repository.repository import ModelRepository
from service.repository.store import Reference
from service.rollout.rollouts import Rollouts
from service.scoreboard import FOLLOWED, Scoreboard
from service.telemetry.logs import logger

FOLLOW_SECONDS = 0.02  # between two looks at the scoreboard
ORDERS = "orders"  # in the scoreboard


class Orders:
    """The last order of each kind of a model is kept, with its number: later ones replace it."""

    def __init__(self, board: Scoreboard, repository: ModelRepository, rollouts: Rollouts) -> None:
        self._board = board
        self._actions: dict[str, Callable[[Reference], Any]] = {
            "load": lambda reference: repository.load(reference).result(),
            "unload": repository.unload,
            "pin": repository.pin,
            "unpin": lambda reference: repository.pin(reference, pinned=False),
            "rollout": rollouts.follow,
        }

    async def announce(self, action: str, *references: Reference) -> None:
        """Have all workers do what this one has done (load, unload, pin, unpin, rollout); returns
        once they have."""

        def note(known: dict[str, Any], number: int) -> None:
            for name, version in references:
                order = [number, action, name, version]
                known.setdefault(ORDERS, {})[_subject(action, name, version)] = order

        number = self._board.change(note)
        while not self._board.is_followed(number):
            await asyncio.sleep(FOLLOW_SECONDS)

    def forget(self, reference: Reference) -> None:
        """What was ordered of a version is not of another that may come in its place."""
        orders = self._board.read().get(ORDERS, {})
        gone = [subject for subject, order in orders.items() if tuple(order[2:]) == reference]
        if gone:
            self._board.change(
                lambda known, number: [known[ORDERS].pop(subject, None) for subject in gone]
            )

    def follow(self) -> None:
        """Carry out what has been ordered since the last time, in that order."""
        newest, done = self._board.changes, self._board.own[FOLLOWED]
        if newest == done:
            return
        for number, action, *reference in sorted(self._board.read().get(ORDERS, {}).values()):
            if number > done:
                self._carry_out(action, (reference[0], reference[1]))
        self._board.own[FOLLOWED] = newest

    def _carry_out(self, action: str, reference: Reference) -> None:
        try:
            self._actions[action](reference)
        except Exception as error:  # the version is gone, or cannot be loaded here, which is told
            logger.warning("%s of %s: %s", action, "/".join(reference), error)


def _subject(action: str, name: str, version: str) -> str:
    """What an order is about: of each the last one holds."""
    match action:
        case "load" | "unload":
            return f"{name}/{version}"
        case "pin" | "unpin":
            return f"pin of {name}"
        case _:
            return f"rollout of {name}"
