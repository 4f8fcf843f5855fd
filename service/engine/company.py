"""Whether a model's images come one at a time, or beside others."""

import asyncio
import threading

# The share of the newest image in the running mean.
NEWEST = 0.1
# The share of the last images that had company, from which on none is run as if it were alone: who
# comes while a lone run has all processors waits for them. Requests that overlap now and then would
# each be in the other's way; by this they are soon run side by side.
SELDOM = 0.2
# Rounds of the event loop in which a request that had been waiting for it comes to be served: its
# head is read in one and its body in the next; each read wakes what goes on with it a round later.
ROUNDS = 4


class Company:
    """What is known of the last images; may be used by several threads at once."""

    def __init__(self) -> None:
        self._share = 0.0  # of the last images beside which there were others
        self._noting = threading.Lock()

    @property
    def is_seldom(self) -> bool:
        return self._share < SELDOM

    def note(self, accompanied: bool) -> None:
        """Learn whether an image had company."""
        with self._noting:
            self._share = NEWEST * accompanied + (1 - NEWEST) * self._share


class Aftermath:
    """The rounds of the event loop after it has been held up.

    Who came meanwhile was not seen to come, and is served in one of these; who asks anew when it
    has its answer comes later.
    """

    def __init__(self) -> None:
        self._left = 0

    @property
    def lasts(self) -> bool:
        return self._left > 0

    def begin(self) -> None:
        """Now the event loop goes on; must be called on its thread."""
        if not self.lasts:
            asyncio.get_running_loop().call_soon(self._next)
        self._left = ROUNDS

    def _next(self) -> None:
        self._left -= 1
        if self.lasts:
            asyncio.get_running_loop().call_soon(self._next)
