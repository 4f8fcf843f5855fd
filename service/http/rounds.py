"""Looking at every connection once in a while, by one timer for all.

With a timer each, two thousand silent connections took 4 % of a processor, in bursts: those that
were opened together were looked at together.
"""

import math
from asyncio import AbstractEventLoop
from collections import OrderedDict
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

LOOK_SECONDS = 1.0  # between two looks at a connection
STEPS = 20  # in which all are looked at, for others to have a turn in between


class Watched(Protocol):
    def look(self) -> None: ...


class Rounds:
    """Calls ``look`` of each that was added, once in `LOOK_SECONDS`, on an event loop."""

    _of_loop: ClassVar[WeakKeyDictionary[AbstractEventLoop, "Rounds"]] = WeakKeyDictionary()

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: OrderedDict[Watched, None] = OrderedDict()  # whoever waits longest first
        self._goes_on = False

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> "Rounds":
        """Those of ``loop``, which all that is watched on it shares."""
        if loop not in cls._of_loop:
            cls._of_loop[loop] = cls(loop)
        return cls._of_loop[loop]

    def add(self, one: Watched) -> None:
        self._watched[one] = None
        if not self._goes_on:
            self._go_on()

    def remove(self, one: Watched) -> None:
        self._watched.pop(one, None)

    def _go_on(self) -> None:
        self._goes_on = bool(self._watched)
        if self._goes_on:
            self._loop.call_later(LOOK_SECONDS / STEPS, self._step)

    def _step(self) -> None:
        for _ in range(math.ceil(len(self._watched) / STEPS)):
            if not self._watched:  # a look may remove others
                break
            one = next(iter(self._watched))
            self._watched.move_to_end(one)
            one.look()
        self._go_on()
