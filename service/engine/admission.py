"""Admission: bounds on what the service has accepted and not yet answered.

Without a bound, overload turns into answers that come after their client has given up; with one it
is refused at once, which the client can act on.

A bound is that of all processes together. Each counts in its own row of the scoreboard first, and
then looks at the sum: two that take the last room at once may both be refused, but never are both
let in.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.inference.deadline import Priority
from service.problems import Problem
from service.runtime.memory import trim_memory
from service.scoreboard import Scoreboard

# Of the images in service, the share that bulk work may take; the rest is for interactive requests.
BULK_SHARE = 0.5
LARGE_PHOTO = 256 * 2**20  # bytes while it is decoded, for a second or more


class Room:
    """What one request's body holds of the bytes that all bodies may take."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.bytes = 0

    def add(self, number: int) -> None:
        """Count ``number`` bytes that have come; raises Problem if they are too many."""
        self.bytes += number
        self._admission.add_bytes(number, self.bytes)


class Admission:
    """Counts images, bodies and the memory of decoding in service; may be used from any thread.

    max_images: accepted and not yet answered.
    max_bytes: of the bodies of all requests that have not been answered.
    max_decoding: bytes that photos take while they are decoded.
    board: of the service; what is counted there is called ``name``.
    """

    def __init__(
        self,
        max_images: int,
        max_bytes: int,
        max_decoding: int,
        board: Scoreboard | None = None,
        name: str = "admission",
    ) -> None:
        self._max_images, self._max_bytes, self._max_decoding = max_images, max_bytes, max_decoding
        self._lock = threading.Lock()
        self._board = board or Scoreboard.alone()
        self._images = self._board.cells(name, ("images",), gauge=True)
        self._bytes = self._board.cells(name, ("bytes",), gauge=True)
        self._decoding = self._board.cells(name, ("decoding",), gauge=True)

    @property
    def images(self) -> int:
        """Of all processes, as the others."""
        return int(self._board.total(self._images))

    @property
    def bytes(self) -> int:
        return int(self._board.total(self._bytes))

    @property
    def decoding(self) -> int:
        return int(self._board.total(self._decoding))

    @property
    def own_images(self) -> int:
        """Of this process."""
        return int(self._board.own[self._images])

    def check(self, priority: Priority) -> None:
        """Raise Problem if no image at all would be let in: before a body is even read."""
        limit = self._limit(priority)
        if (images := self.images) >= limit:
            raise self._refusal(f"{images} images are in service", limit)

    @contextmanager
    def hold_images(self, number: int, priority: Priority) -> Iterator[None]:
        """Room for ``number`` images; raises Problem if there is not enough, now or ever."""
        limit = self._limit(priority)
        if number > limit:
            raise Problem(
                "too_many_images",
                f"{number} images; at most {limit} are in service at once"
                f" ({priority.value}). Send several requests.",
            )
        with self.keep_images(number):
            if (images := self.images) > limit:
                raise self._refusal(f"{images - number} images are in service", limit)
            yield

    @contextmanager
    def hold_bytes(self) -> Iterator[Room]:
        """Room for a body as it comes, until its request has been answered."""
        room = Room(self)
        try:
            yield room
        finally:
            self._add(self._bytes, -room.bytes)

    @contextmanager
    def keep_images(self, number: int) -> Iterator[None]:
        """Count ``number`` images that an admitted request has turned out to have, whatever the
        limit: others wait for them."""
        self._add(self._images, number)
        try:
            yield
        finally:
            self._add(self._images, -number)

    @contextmanager
    def keep_memory(self, number: int) -> Iterator[None]:
        """Count ``number`` bytes of a photo that stays after it was decoded, whatever the limit."""
        self._add(self._decoding, number)
        try:
            yield
        finally:
            self._add(self._decoding, -number)

    def keep_bytes(self, number: int) -> Callable[[], None]:
        """Count ``number`` bytes that are there whatever the limit, until the result is called."""
        self._add(self._bytes, number)
        return lambda: self._add(self._bytes, -number)

    def add_bytes(self, number: int, of_body: int) -> None:
        """Count ``number`` bytes, the last of ``of_body`` of one request.

        Raises Problem if all bodies together are too large, or that one would be alone.
        """
        self._add(self._bytes, number)
        if of_body > self._max_bytes:
            raise Problem(
                "body_too_large",
                f"The body has over {self._max_bytes} bytes: all that are in service at once.",
            )
        if self.bytes > self._max_bytes:
            raise self._refusal("the bodies in service are too large", self._max_bytes)

    @contextmanager
    def hold_memory(self, number: int) -> Iterator[None]:
        """Room to decode a photo that takes ``number`` bytes; raises Problem if there is not
        enough, now or ever."""
        if number > self._max_decoding:
            raise Problem(
                "image_too_large",
                f"Decoding the image takes {number} bytes; at most {self._max_decoding} are"
                " there. Save it smaller, or as a baseline JPEG.",
            )
        with self.keep_memory(number):
            if (decoding := self.decoding) > self._max_decoding:
                held = f"photos that take {decoding - number} bytes are being decoded"
                raise self._refusal(held, self._max_decoding)
            yield
        if number >= LARGE_PHOTO:  # of which decoders' pools leave tens of megabytes behind
            trim_memory()

    def _add(self, place: int, number: int) -> None:
        with self._lock:
            self._board.own[place] += number

    def _limit(self, priority: Priority) -> int:
        if priority is Priority.BULK:
            return max(1, int(self._max_images * BULK_SHARE))
        return self._max_images

    @staticmethod
    def _refusal(held: str, limit: int) -> Problem:
        return Problem("overloaded", f"{held}; at most {limit} are let in. Try again in a moment.")
